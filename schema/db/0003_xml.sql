-- Drover's database, schema 3: the XML of VMs is kept by its content.
-- Until now `detail` of each VM held its two texts. sha256(), sqlar_compress() are the scheduler's own
-- functions; to read a text by hand, with the sqlite3 shell:
--   select sqlar_uncompress(packed, bytes) from xml_texts where digest = '...';

CREATE TABLE xml_texts (
    digest TEXT PRIMARY KEY NOT NULL, -- SHA-256, hex
    bytes  INTEGER NOT NULL,          -- of the text
    packed BLOB NOT NULL              -- zlib; as it is when that is no longer
) STRICT;

ALTER TABLE vms ADD COLUMN xml_digest TEXT;          -- live; NULL: shut off
ALTER TABLE vms ADD COLUMN xml_inactive_digest TEXT; -- persistent; NULL: transient

INSERT OR IGNORE INTO xml_texts (digest, bytes, packed)
SELECT sha256(t), length(CAST(t AS BLOB)), sqlar_compress(t)
FROM (SELECT detail ->> '$.xml' AS t FROM vms UNION ALL SELECT detail ->> '$.xml_inactive' FROM vms)
WHERE t IS NOT NULL;

UPDATE vms
SET xml_digest = sha256(detail ->> '$.xml'), xml_inactive_digest = sha256(detail ->> '$.xml_inactive')
WHERE (detail ->> '$.xml') IS NOT NULL OR (detail ->> '$.xml_inactive') IS NOT NULL;

UPDATE vms
SET detail = json_set(json_remove(detail, '$.xml', '$.xml_inactive'),
                      '$.xml_digest', xml_digest, '$.xml_inactive_digest', xml_inactive_digest)
WHERE xml_digest IS NOT NULL OR xml_inactive_digest IS NOT NULL;

CREATE INDEX vms_xml ON vms (xml_digest) WHERE xml_digest IS NOT NULL;
CREATE INDEX vms_xml_inactive ON vms (xml_inactive_digest) WHERE xml_inactive_digest IS NOT NULL;

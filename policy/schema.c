#include <jansson.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "policy/keys.h"
#include "policy/rules/rules.h"

#define NUMBER   "[0-9]+(\\.[0-9]+)?"
#define DURATION "(" NUMBER "(us|ms|s|sec|m|min|h|d))+"

static json_t *words(const char *const *names, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_string(names[i]));
    return json_pack("{s:o}", "enum", list);
}

static json_t *whole(int64_t min, int64_t max)
{
    return json_pack("{s:s,s:I,s:I}", "type", "integer", "minimum", (json_int_t)min, "maximum",
                     (json_int_t)max);
}

static json_t *text(const char *pattern)
{
    return json_pack("{s:s,s:s}", "type", "string", "pattern", pattern);
}

static json_t *either(json_t *a, json_t *b)
{
    return json_pack("{s:[o,o]}", "anyOf", a, b);
}

static json_t *keyset_schema(const struct keyset *set);

static json_t *selector_schema(void)
{
    return json_pack("{s:s,s:b,s:i,s:{s:{s:s,s:i,s:{s:s,s:i,s:i}},s:{s:s,s:i,s:{s:[s,s,s]}}}}",
                     "type", "object", "additionalProperties", 0, "minProperties", 1, "properties",
                     "names", "type", "array", "minItems", 1, "items", "type", "string",
                     "minLength", 1, "maxLength", LIM_NAME_BYTES, "labels", "type", "object",
                     "minProperties", 1, "additionalProperties", "type", "string", "number",
                     "boolean");
}

static json_t *kind_schema(const struct rule_def *def)
{
    json_t *props = json_pack("{s:o}", "vms", selector_schema());
    json_t *required = json_array();
    if (def->vms_required)
        json_array_append_new(required, json_string("vms"));
    if (def->hosts_allowed)
        json_object_set_new(props, "hosts", selector_schema());
    if (def->hosts_required)
        json_array_append_new(required, json_string("hosts"));
    if (def->across_allowed)
        json_object_set_new(props, "across", words(domain_level_names, 3));
    if (def->max_required) {
        json_object_set_new(props, "max", whole(0, LIM_VMS_PER_HOST));
        json_array_append_new(required, json_string("max"));
    }
    if (def->min_required) {
        json_object_set_new(props, "min", whole(2, LIM_SPREAD));
        json_array_append_new(required, json_string("min"));
    }
    return json_pack("{s:s,s:s,s:b,s:o,s:o}", "description", def->doc, "type", "object",
                     "additionalProperties", 0, "required", required, "properties", props);
}

static json_t *rules_schema(void)
{
    json_t *props =
        json_pack("{s:{s:s,s:i,s:i},s:{s:s},s:o}", "name", "type", "string", "minLength", 1,
                  "maxLength", LIM_NAME_BYTES, "hard", "type", "boolean", "weight", whole(1, 1000));
    json_t *one_of = json_array();
    for (size_t i = 0; i < ARRAY_LEN(rule_defs); i++) {
        const char *kind = rule_kind_names[i];
        json_object_set_new(props, kind, kind_schema(rule_defs[i]));
        json_t *alternative = json_pack("{s:[s]}", "required", kind);
        if (rule_defs[i]->strength == ALWAYS_HARD)
            json_object_set_new(alternative, "properties",
                                json_pack("{s:b,s:b}", "hard", 0, "weight", 0));
        if (rule_defs[i]->strength == ALWAYS_SOFT)
            json_object_set_new(alternative, "properties", json_pack("{s:b}", "hard", 0));
        json_array_append_new(one_of, alternative);
    }
    json_t *hard_or_weight = json_pack("{s:[s,s],s:{s:{s:b}}}", "required", "hard", "weight",
                                       "properties", "hard", "const", 1);
    json_t *rule =
        json_pack("{s:s,s:b,s:[s],s:o,s:o,s:o}", "type", "object", "additionalProperties", 0,
                  "required", "name", "properties", props, "oneOf", one_of, "not", hard_or_weight);
    return json_pack("{s:s,s:o}", "type", "array", "items", rule);
}

static json_t *window_schema(void)
{
    return text("^ *[A-Za-z,-]+ +[0-9]{2}:[0-9]{2}-[0-9]{2}:[0-9]{2} +[A-Za-z0-9_+/-]+ *$");
}

/* Numbers and texts; the schema knows the form, and of plain numbers the bounds. */
static json_t *scalar_schema(const struct key *k)
{
    switch (k->type) {
    case KT_INT:
        return whole(k->min, k->max);
    case KT_BYTES:
        return either(json_pack("{s:i}", "const", 0),
                      text("^" NUMBER " ?(B|KiB|MiB|GiB|TiB|kB|MB|GB|TB)$"));
    case KT_RATIO:
        return json_pack("{s:s,s:f,s:f}", "type", "number", "minimum", (double)k->min / 1e6,
                         "maximum", (double)k->max / 1e6);
    case KT_PERCENT:
        return text(k->min > 0 ? "^(100(\\.0+)?|[1-9][0-9]?(\\.[0-9]+)?)%$"
                               : "^(100(\\.0+)?|[0-9]{1,2}(\\.[0-9]+)?)%$");
    case KT_BITRATE:
        return text("^" NUMBER " ?(bit|kbit|Mbit|Gbit)(/s)?$");
    case KT_DURATION:
        return text("^" DURATION "$");
    case KT_PER_GIB:
        return text("^" DURATION "/GiB$");
    case KT_SCHEDULE:
        return text("^ *([^ ]+ +){4,5}[^ ]+ *$");
    case KT_WINDOW:
        return either(window_schema(), json_pack("{s:s,s:i,s:i,s:o}", "type", "array", "minItems",
                                                 1, "maxItems", LIM_WINDOWS, "items",
                                                 window_schema()));
    case KT_LABEL:
        return text("^.+$");
    case KT_VERSION:
    case KT_SECTION:
    case KT_RULES:
    case KT_BOOL:
    case KT_ENUM:
    case KT_MULTIFD:
    case KT_UNSUPPORTED:
        break;
    }
    return NULL;
}

static json_t *key_schema(const struct key *k)
{
    if (k->type == KT_VERSION)
        return json_pack("{s:i}", "const", 1);
    if (k->type == KT_SECTION)
        return keyset_schema(k->sub);
    if (k->type == KT_RULES)
        return rules_schema();
    if (k->type == KT_BOOL)
        return json_pack("{s:s}", "type", "boolean");
    if (k->type == KT_ENUM)
        return words(k->names, k->n_names);
    if (k->type == KT_MULTIFD)
        return either(json_pack("{s:s}", "type", "boolean"), whole(k->min, k->max));
    json_t *scalar = scalar_schema(k);
    return scalar && k->zero ? either(json_pack("{s:s}", "const", k->zero), scalar) : scalar;
}

static json_t *keyset_schema(const struct keyset *set)
{
    json_t *props = json_object();
    for (size_t i = 0; i < set->n; i++) {
        json_t *schema = key_schema(&set->keys[i]);
        if (!schema)
            continue;
        json_object_set_new(schema, "description", json_string(set->keys[i].doc));
        json_object_set_new(props, set->keys[i].name, schema);
    }
    return json_pack("{s:s,s:b,s:o}", "type", "object", "additionalProperties", 0, "properties",
                     props);
}

char *policy_schema_text(void)
{
    json_t *schema = keyset_schema(&policy_keys);
    json_object_set_new(schema, "$schema", json_string("http://json-schema.org/draft-07/schema#"));
    json_object_set_new(schema, "title", json_string("Drover policy, one file"));
    json_object_set_new(schema, "required", json_pack("[s]", "version"));
    char *out = json_dumps(schema, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(6));
    json_decref(schema);
    if (!out)
        abort();
    return out;
}

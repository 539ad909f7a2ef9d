#include "scheduler/cli/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"

enum {
    ANSWER_BYTES = 64 << 20, /* a fleet of 16k hosts in one answer stays below */
    CONNECT_MS = 5000,
    GET_MS = 20000,
    FLEET_MS = 120000, /* 200,000 VMs are some 200 MB of text */
    POST_MS = 120000,  /* checks ask both hosts and Ceph before they answer */
    POST_TRIES = 5,
};

struct client {
    CURL *curl;
    char *base, *socket;
    volatile sig_atomic_t *interrupted;
    char error[CURL_ERROR_SIZE];
};
struct body {
    char *text;
    size_t len, most;
    bool too_big;
};

static size_t on_data(char *data, size_t size, size_t n, void *arg)
{
    struct body *b = arg;
    size_t len = size * n;
    if (len > b->most - b->len) {
        b->too_big = true;
        return 0;
    }
    b->text = xrealloc(b->text, b->len + len + 1, 1);
    memcpy(b->text + b->len, data, len);
    b->len += len;
    b->text[b->len] = '\0';
    return len;
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t d, curl_off_t f)
{
    const struct client *c = arg;
    (void)a, (void)b, (void)d, (void)f;
    return c->interrupted && *c->interrupted;
}

int client_new(const struct client_config *cfg, struct client **ret, struct err *e)
{
    if (cfg->url && !str_has_prefix(cfg->url, "https://"))
        return err_set(e, -EINVAL, "--url '%s': expected https://HOST:PORT", cfg->url);
    if (cfg->url && (!cfg->cert || !cfg->key || !cfg->ca))
        return err_set(e, -EINVAL,
                       "--url needs --cert, --key and --ca: the scheduler asks who you are\n"
                       "  drover pki issue --dir DIR operator --name NAME --out OUTDIR makes them");
    struct client *c = xcalloc(1, sizeof(*c));
    c->curl = curl_easy_init();
    if (!c->curl) {
        free(c);
        return err_set(e, -ENOMEM, "libcurl cannot start");
    }
    c->interrupted = cfg->interrupted;
    c->socket = cfg->url ? NULL : xstrdup(cfg->socket);
    c->base = xstrdup(cfg->url ? cfg->url : "http://drover");
    size_t len = strlen(c->base);
    if (len && c->base[len - 1] == '/')
        c->base[len - 1] = '\0';
    CURL *h = c->curl;
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, c->error);
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_NOPROXY, "*"); /* a proxy of the environment is not for this */
    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(h, CURLOPT_XFERINFODATA, c);
    if (c->socket)
        curl_easy_setopt(h, CURLOPT_UNIX_SOCKET_PATH, c->socket);
    if (cfg->url) {
        curl_easy_setopt(h, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_3);
        curl_easy_setopt(h, CURLOPT_SSLCERT, cfg->cert);
        curl_easy_setopt(h, CURLOPT_SSLKEY, cfg->key);
        curl_easy_setopt(h, CURLOPT_CAINFO, cfg->ca);
    }
    *ret = c;
    return 0;
}

void client_free(struct client *c)
{
    if (!c)
        return;
    curl_easy_cleanup(c->curl);
    free(c->base);
    free(c->socket);
    free(c);
}

/* After the request may have been sent, and before an answer came. */
static bool broke_midway(CURLcode rc)
{
    return rc == CURLE_GOT_NOTHING || rc == CURLE_RECV_ERROR || rc == CURLE_SEND_ERROR ||
           rc == CURLE_PARTIAL_FILE;
}

/* Why no answer came, and what to do. */
static int transport_error(struct client *c, CURLcode rc, const struct body *b, struct err *e)
{
    long os = 0;
    curl_easy_getinfo(c->curl, CURLINFO_OS_ERRNO, &os);
    const char *where = c->socket ? c->socket : c->base;
    if (b->too_big)
        return err_set(e, -EBADMSG, "the scheduler's answer is larger than %zu MiB", b->most >> 20);
    if (rc == CURLE_ABORTED_BY_CALLBACK)
        return err_set(e, -EINTR, "interrupted");
    if (rc == CURLE_SSL_CERTPROBLEM || rc == CURLE_SSL_CACERT_BADFILE)
        return err_set(e, -EINVAL,
                       "%s\n  check the files of --cert, --key and --ca: drover pki show FILE",
                       c->error);
    if (rc == CURLE_PEER_FAILED_VERIFICATION)
        return err_set(e, -ENOTCONN,
                       "%s is not trusted: %s\n  --ca must be the CA that signed the scheduler's "
                       "certificate, and the name in --url one of the certificate's names",
                       where, c->error);
    if (rc == CURLE_OPERATION_TIMEDOUT)
        return err_set(e, -ENOTCONN, "the scheduler at %s did not answer in time", where);
    if (!c->socket &&
        strstr(c->error, "alert")) /* TLS 1.3: the refusal comes after the handshake */
        return err_set(
            e, -EACCES,
            "the scheduler at %s refused this certificate: %s\n  drover pki show FILE shows whose "
            "it is, until when, and which CA signed it",
            where, c->error);
    if (c->socket && os == EACCES)
        return err_set(e, -EACCES,
                       "no permission to open %s\n  run drover as root, or join the socket's group "
                       "(socket_group in scheduler.yaml)",
                       where);
    if (c->socket && os == ENOENT)
        return err_set(
            e, -ENOTCONN,
            "no scheduler here: %s does not exist\n  systemctl status drover-scheduler; on "
            "another machine use --url https://HOST:PORT, for another path --socket PATH",
            where);
    if (!c->socket && broke_midway(rc))
        return err_set(
            e, -ENOTCONN,
            "the scheduler at %s closed the connection: %s\n  when it does so each time, it "
            "refuses this certificate: drover pki show FILE shows which CA signed it",
            where, c->error[0] ? c->error : curl_easy_strerror(rc));
    return err_set(
        e, -ENOTCONN,
        "the scheduler at %s is unreachable: %s\n  systemctl status drover-scheduler on its "
        "machine; moves in flight go on without it",
        where,
        os            ? strerror((int)os)
        : c->error[0] ? c->error
                      : curl_easy_strerror(rc));
}

static int understand(struct client *c, const struct body *b, json_t **ret, struct err *e)
{
    long http = 0;
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &http);
    json_error_t je;
    cleanup(json_decrefp) json_t *j =
        b->text ? json_loadb(b->text, b->len, JSON_REJECT_DUPLICATES, &je) : NULL;
    const char *schema = json_string_value(json_object_get(j, "schema"));
    if (str_has_prefix(schema, "drover.error/") || (!schema && http >= 400))
        return client_refused(http, j, e);
    if (!json_is_object(j))
        return err_set(e, -EBADMSG,
                       "what answers at %s is no drover-scheduler: HTTP status %ld without JSON",
                       c->socket ? c->socket : c->base, http);
    *ret = take(j);
    return 0;
}

static CURLcode fetch(struct client *c, const char *path, long timeout_ms, struct body *b)
{
    cleanup(freep) char *url = xasprintf("%s%s", c->base, path);
    c->error[0] = '\0';
    curl_easy_setopt(c->curl, CURLOPT_URL, url);
    curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, timeout_ms);
    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, b);
    return curl_easy_perform(c->curl);
}

static int perform(struct client *c, const char *path, long timeout_ms, CURLcode *ret_rc,
                   json_t **ret, struct err *e)
{
    struct body b = {.most = ANSWER_BYTES};
    CURLcode rc = fetch(c, path, timeout_ms, &b);
    int r = rc == CURLE_OK ? understand(c, &b, ret, e) : transport_error(c, rc, &b, e);
    *ret_rc = rc;
    free(b.text);
    return r;
}

int client_get(struct client *c, const char *path, json_t **ret, struct err *e)
{
    CURLcode rc;
    curl_easy_setopt(c->curl, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, NULL);
    return perform(c, path, GET_MS, &rc, ret, e);
}

int client_get_text(struct client *c, const char *path, char **ret, struct err *e)
{
    struct body b = {.most = LIM_SNAPSHOT_BYTES};
    long http = 0;
    curl_easy_setopt(c->curl, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, NULL);
    CURLcode rc = fetch(c, path, FLEET_MS, &b);
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &http);
    int r = rc != CURLE_OK ? transport_error(c, rc, &b, e) : 0;
    if (r == 0 && (http != 200 || !str_has_prefix(b.text, "{"))) { /* an error, or no scheduler */
        cleanup(json_decrefp) json_t *j = NULL;
        r = understand(c, &b, &j, e);
        r = r ? r : client_refused(http, j, e);
    }
    if (r == 0)
        *ret = take(b.text);
    free(b.text);
    return r;
}

static int post_once_or_again(struct client *c, const char *path, json_t **ret, struct err *e)
{
    CURLcode rc;
    int r = perform(c, path, POST_MS, &rc, ret, e);
    bool sent = broke_midway(rc);
    for (int i = 1; r == -ENOTCONN && sent && i < POST_TRIES; i++) {
        struct timespec pause = {.tv_sec = 1};
        nanosleep(&pause, NULL);
        r = perform(c, path, POST_MS, &rc, ret, e);
    }
    if (r == -ENOTCONN && sent)
        err_wrap(e, "the connection broke before the answer; whether it was accepted is shown by "
                    "drover runs");
    if (r == -EINTR)
        err_set(e, r,
                "interrupted before the answer; whether it was accepted is shown by drover runs");
    return r;
}

int client_post(struct client *c, const char *path, const json_t *body, json_t **ret, struct err *e)
{
    unsigned char raw[16];
    if (getrandom(raw, sizeof(raw), 0) != (ssize_t)sizeof(raw))
        return err_set(e, -errno, "getrandom: %m");
    char key[64] = "Idempotency-Key: ";
    for (size_t i = 0, at = strlen(key); i < sizeof(raw); i++, at += 2)
        snprintf(key + at, 3, "%02x", raw[i]);
    cleanup(freep) char *text = json_dumps(body, JSON_COMPACT);
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    headers = curl_slist_append(headers, key);
    headers = curl_slist_append(headers, "Expect:"); /* small bodies: no round trip for a 100 */
    curl_easy_setopt(c->curl, CURLOPT_POST, 1L);
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, text);
    int r = post_once_or_again(c, path, ret, e);
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, NULL);
    curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, NULL);
    curl_slist_free_all(headers);
    return r;
}

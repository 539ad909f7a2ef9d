#include "scheduler/cli/list.h"

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "scheduler/cli/out.h"
#include "scheduler/cli/text.h"

static bool matches(const json_t *item, const char *const *keys, const char *word)
{
    const char *name = json_string_value(json_object_get(item, "name"));
    const char *host = json_string_value(json_object_get(item, "host"));
    for (; *keys; keys++)
        if (str_eq(json_string_value(json_object_get(item, *keys)), word))
            return true;
    if (!name || !host)
        return false;
    cleanup(freep) char *both = xasprintf("%s@%s", name, host);
    return str_eq(both, word);
}

static void unknown(struct cli *c, const json_t *items, const char *kind, const char *word)
{
    size_t n = json_array_size(items), at = 0;
    cleanup(freep) const char **names = xcalloc(n, sizeof(*names));
    for (size_t i = 0; i < n; i++) {
        const char *name = json_string_value(json_object_get(json_array_get(items, i), "name"));
        if (name)
            names[at++] = name;
    }
    const char *near = str_did_you_mean(word, names, at);
    cli_error(c, X_DENIED, "no %.*s is called '%s'%s%s%s", kind[0] == 'v' ? 2 : 4, kind, word,
              near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

bool list_filter(struct cli *c, json_t *answer, const char *list, const char *const *keys,
                 char **words, size_t n_words)
{
    json_t *items = json_object_get(answer, list);
    if (!n_words)
        return true;
    cleanup(json_decrefp) json_t *kept = json_array();
    cleanup(freep) bool *met = xcalloc(n_words, sizeof(*met));
    for (size_t i = 0; i < json_array_size(items); i++) {
        json_t *item = json_array_get(items, i);
        bool keep = false;
        for (size_t w = 0; w < n_words; w++)
            if (matches(item, keys, words[w]))
                keep = met[w] = true;
        if (keep)
            json_array_append(kept, item);
    }
    for (size_t w = 0; w < n_words; w++)
        if (!met[w]) {
            unknown(c, items, list, words[w]);
            return false;
        }
    json_object_set(answer, list, kept);
    return true;
}

void flow_cell(struct table *t, int64_t in, int64_t out)
{
    char *s = NULL;
    if (in)
        text_add(&s, "+%lld", (long long)in);
    if (out)
        text_add(&s, "%s-%lld", s ? " " : "", (long long)out);
    table_text(t, C_NONE, s);
    free(s);
}

void load_cell(struct table *t, int64_t mcpu, int64_t cpus)
{
    if (mcpu < 0 || cpus < 0)
        table_text(t, C_NONE, "?");
    else if (cpus)
        table_fmt(t, C_NONE, "%lld %%", (long long)(mcpu / cpus / 10));
    else
        table_fmt(t, C_NONE, "%.2f", (double)mcpu / 1000);
    table_key(t, mcpu < 0 || cpus < 0 ? -1 : cpus ? mcpu / cpus : mcpu);
}

void rate_cell(struct table *t, int64_t a_Bps, int64_t b_Bps)
{
    char text[FMT_BYTES];
    int64_t sum = a_Bps < 0 || b_Bps < 0 ? -1 : a_Bps + b_Bps;
    if (sum < 0)
        table_text(t, C_NONE, "?");
    else
        table_fmt(t, C_NONE, "%s/s", fmt_bytes(text, sum));
    table_key(t, sum);
}

char *list_labels(const struct label *labels, size_t n)
{
    char *s = xstrdup("");
    for (size_t i = 0; i < n; i++)
        text_add(&s, "%s%s=%s", i ? "," : "", labels[i].key,
                 labels[i].value ? labels[i].value : "");
    return s;
}

/* scheduler.yaml: what is read, and what each mistake is called. */
#include "tests/unit/schedask.h"

static void config_text(const struct rig *g, const char *text, char **ret_path)
{
    *ret_path = xasprintf("%s/scheduler.yaml", g->dir);
    assert_int_equal(file_write(*ret_path, text, strlen(text), 0644, NULL), 0);
}

static void test_config(void **state)
{
    cleanup(freep) char *path = NULL;
    config_text(*state,
                "listen: 10.0.0.1:7440\nsocket: /x/api.sock\nsocket_group: ops\ndatabase: /x/d.db\n"
                "policy: /x/policy\ncert: a\nkey: b\nca: c\nrecorder: /x/rec\nheartbeat: 2s\n"
                "api: {listen: \"[::]:7441\"}\n",
                &path);
    struct config c;
    struct err e = {0};
    if (config_load(path, &c, &e) < 0)
        fail_msg("%s", e.msg);
    assert_string_equal(c.listen, "10.0.0.1:7440");
    assert_string_equal(c.socket_group, "ops");
    assert_string_equal(c.api_listen, "[::]:7441");
    assert_int_equal(c.heartbeat_us, 2 * SEC);
    config_done(&c);
    free(take(path));
    config_text(*state, "# all defaults\n", &path);
    assert_int_equal(config_load(path, &c, &e), 0);
    assert_string_equal(c.socket, "/run/drover/api.sock");
    assert_int_equal(c.heartbeat_us, 5 * SEC);
    assert_null(c.policy);
    config_done(&c);
}

static void test_config_errors(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"lisen: x:1\n", ":1:1: unknown key 'lisen'; did you mean 'listen'?"},
        {"cert: a\n\napi:\n  lsten: x:1\n",
         ":4:3: unknown key 'api.lsten'; did you mean 'listen'?"},
        {"cert: a\nkey: b\ncert: c\n", ":3:1: key 'cert' is given twice"},
        {"cert: [a]\n", ":1:7: 'cert': expected a text"},
        {"cert:\n", ":1:6: 'cert': expected a text"},
        {"api: yes\n", ":1:6: expected 'key: value' lines"},
        {"listen: 7440\n", ":1:9: 'listen': expected ADDRESS:PORT, got '7440'"},
        {"heartbeat: fast\n", ":1:12: 'fast' is not a duration such as 90s, 10m or 1h30m"},
        {"heartbeat: 1h\n", ":1:12: expected 100ms to 10m"},
        {"- a\n", ":1:1: expected 'key: value' lines"},
        {"cert: {\n", "not YAML"},
        {"cert: *nowhere\n", "not YAML"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        cleanup(freep) char *path = NULL;
        config_text(*state, cases[i].text, &path);
        struct config c;
        struct err e = {0};
        assert_int_equal(config_load(path, &c, &e), -EINVAL);
        has(e.msg, path);
        has(e.msg, cases[i].want);
    }
    struct config c;
    struct err e = {0};
    assert_int_equal(config_load("/nonexistent.yaml", &c, &e), -ENOENT);
}

int main(void)
{
    log_set_level(LOG_ERROR + 1); /* failures are provoked here by the dozen */
    faultvfs_register();
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
#define D(fn) cmocka_unit_test_setup_teardown(fn, setup_dir, teardown_dir)
    const struct CMUnitTest tests[] = {
        D(test_config),
        D(test_config_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

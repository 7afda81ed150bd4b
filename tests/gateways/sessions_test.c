/* Purpose: the table of sessions shows what gateways told it, its figures add up, what its owner asks reaches
 * the right session and nothing else, and no text of a stranger reaches a screen as it came. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "gateways/sessions_host.h"
#include "node/base/err.h"

static core_time now;

static core_time clock_now(void *clock)
{
    (void)clock;
    return now;
}

struct client { /* a gateway's end */
    struct session *session;
    unsigned disconnected, aborted;
    bool late; /* its end comes after the call */
    char message[600];
};

static void do_disconnect(void *owner)
{
    struct client *c = owner;
    c->disconnected++;
    if (!c->late) {
        session_end(c->session);
        c->session = NULL;
    }
}

static void do_abort(void *owner)
{
    struct client *c = owner;
    c->aborted++;
    session_transfer_end(c->session, false);
}

static bool do_message(void *owner, const char *text)
{
    struct client *c = owner;
    snprintf(c->message, sizeof c->message, "%s", text);
    return strcmp(text, "busy") != 0;
}

static const struct session_acts all_acts = {do_disconnect, do_abort, do_message}, no_acts = {0};

static struct sessions *make(uint32_t all, uint32_t each)
{
    struct limits_config c;
    limits_config_default(&c);
    c.open_max = all;
    c.open_per_address_max = each;
    struct sessions *s = sessions_new(&c, clock_now, NULL);
    assert_non_null(s);
    now = CORE_HOURS(1);
    return s;
}

static uint32_t begin(struct sessions *s, struct client *c, const char *peer, const struct session_acts *acts)
{
    struct net_addr a = {0};
    uint32_t retry;
    struct session_totals t;
    if (peer)
        assert_int_equal(net_addr_parse(&a, peer), 0);
    memset(c, 0, sizeof *c);
    assert_int_equal(session_begin(s, "HTTP", &a, acts, c, &c->session, &retry), 0);
    sessions_totals(s, NULL, &t);
    return (uint32_t)t.sessions;
}

static struct session_info info(struct sessions *s, uint32_t id)
{
    struct session_info i;
    assert_int_equal(sessions_find(s, id, &i), 0);
    return i;
}

static bool count(void *context, const struct session_info *i)
{
    uint32_t *n = context;
    assert_true(i->id > n[1]); /* in order */
    n[1] = i->id;
    return ++n[0] < n[2];
}

static void a_line(void **state)
{
    (void)state;
    struct sessions *s = make(10, 5);
    struct client c;
    uint32_t id = begin(s, &c, "192.168.1.7:4000", &all_acts);
    struct session_info i = info(s, id);
    assert_string_equal(i.where, "local network");
    assert_string_equal(i.client, "");
    assert_int_equal(i.who.privilege, ACCOUNT_NOBODY);
    session_client(c.session, bytes_of("Firefox/1.0", 11));
    session_who(c.session, &(struct account_who){ACCOUNT_USER, "ann"});
    session_command(c.session, "%s %s", "RETR", "/shared/a");
    session_transfer_begin(c.session, "/shared/a", false);
    for (int k = 0; k < 40; k++) {
        now += CORE_MS(250);
        session_bytes(c.session, 10, 250000);
    }
    i = info(s, id);
    assert_string_equal(i.protocol, "HTTP");
    assert_string_equal(i.client, "Firefox/1.0");
    assert_string_equal(i.who.name, "ann");
    assert_string_equal(i.command, "RETR /shared/a");
    assert_string_equal(i.path, "/shared/a");
    assert_true(i.transferring && !i.up);
    assert_int_equal(i.bytes_in, 400);
    assert_int_equal(i.bytes_out, 10000000);
    assert_int_equal(i.mean_out, 1000000);
    assert_true(i.rate_out > 900000 && i.rate_out < 1100000);
    assert_int_equal(i.files_out, 0);
    session_transfer_end(c.session, true);
    session_transfer_end(c.session, true); /* none under way */
    core_time done = now;
    now += CORE_MINUTES(1);
    i = info(s, id);
    assert_int_equal(i.files_out, 1);
    assert_int_equal(i.last, done);
    assert_false(i.transferring);
    assert_true(i.rate_out < 200000); /* nothing goes any more */
    session_command_bytes(c.session, bytes_of("PUT", 3), bytes_of("/home/ann/b", 11));
    session_transfer_begin(c.session, "/home/ann/b", true);
    session_bytes(c.session, 77, 0);
    session_transfer_begin(c.session, "/home/ann/c", true); /* the first broke off */
    session_bytes(c.session, 23, 0);
    session_transfer_end(c.session, true);
    i = info(s, id);
    assert_string_equal(i.command, "PUT /home/ann/b");
    assert_int_equal(i.files_in, 1);
    session_end(c.session);
    struct session_totals t;
    sessions_totals(s, "HTTP", &t);
    assert_int_equal(t.open, 0);
    assert_int_equal(t.peak, 1);
    assert_int_equal(t.files_in, 1);
    assert_int_equal(t.files_out, 1);
    assert_int_equal(t.bytes_in, 500);
    sessions_totals(s, "FTP", &t);
    assert_int_equal(t.sessions, 0);
    assert_int_equal(sessions_find(s, id, &i), ERR_NOT_FOUND);
    sessions_free(s);
}

static void where(void **state)
{
    static const struct {
        const char *peer, *where;
    } cases[] = {{NULL, "this computer"},          {"127.0.0.1:5", "this computer"},
                 {"[::1]:5", "this computer"},     {"10.1.1.1:5", "local network"},
                 {"[fe80::1]:5", "local network"}, {"8.8.8.8:5", "the internet"}};
    (void)state;
    struct sessions *s = make(100, 5);
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        struct client c;
        assert_string_equal(info(s, begin(s, &c, cases[k].peer, &no_acts)).where, cases[k].where);
        session_end(c.session);
    }
    sessions_free(s);
}

static void refused(void **state)
{
    (void)state;
    struct sessions *s = make(3, 2);
    struct client a, b, c;
    struct session *none;
    uint32_t retry;
    struct net_addr peer = net_addr_v4(10, 0, 0, 1, 9), unix_socket = {0};
    struct session_totals t;
    begin(s, &a, "10.0.0.1:1", &all_acts);
    begin(s, &b, "10.0.0.1:2", &all_acts);
    assert_int_equal(session_begin(s, "FTP", &peer, &all_acts, NULL, &none, &retry), ERR_BUSY);
    assert_null(none);
    assert_int_equal(retry, 0);
    begin(s, &c, "10.0.0.2:1", &all_acts);
    peer = net_addr_v4(10, 0, 0, 3, 9);
    assert_int_equal(session_begin(s, "FTP", &peer, &all_acts, NULL, &none, &retry), ERR_FULL);
    struct client local;
    assert_int_equal(session_begin(s, "HTTP", &unix_socket, &no_acts, &local, &local.session, &retry), 0);
    sessions_totals(s, "FTP", &t);
    assert_int_equal(t.refused, 2);
    session_end(local.session);
    session_end(a.session);
    session_end(b.session);
    session_end(c.session);
    session_end(NULL);
    sessions_free(s);
}

static void owner_acts(void **state)
{
    (void)state;
    struct sessions *s = make(100, 10);
    struct client a, b, late, other, cannot, loop;
    uint32_t ia = begin(s, &a, "10.0.0.1:1", &all_acts), ib = begin(s, &b, "10.0.0.1:2", &all_acts);
    begin(s, &late, "10.0.0.1:3", &all_acts);
    uint32_t io = begin(s, &other, "10.0.0.2:1", &all_acts), ic = begin(s, &cannot, "10.0.0.3:1", &no_acts);
    uint32_t il = begin(s, &loop, "127.0.0.1:1", &all_acts);
    late.late = true;

    assert_int_equal(sessions_abort(s, ia), ERR_RANGE);
    session_transfer_begin(a.session, "/x", false);
    assert_int_equal(sessions_abort(s, ia), 0);
    assert_int_equal(a.aborted, 1);
    assert_int_equal(sessions_abort(s, ic), ERR_UNSUPPORTED);
    assert_int_equal(sessions_abort(s, 999), ERR_NOT_FOUND);
    assert_int_equal(sessions_message(s, ib, "hello\r\n\x1b[2J"), 0);
    assert_string_equal(b.message, "hello???[2J");
    assert_int_equal(sessions_message(s, ib, "busy"), ERR_BUSY);
    assert_int_equal(sessions_message(s, ic, "x"), ERR_UNSUPPORTED);
    assert_int_equal(sessions_disconnect(s, ic, 0), ERR_UNSUPPORTED);
    assert_int_equal(sessions_disconnect(s, il, 60), ERR_PERMISSION);
    assert_int_equal(loop.disconnected, 0);

    assert_int_equal(sessions_disconnect(s, ia, 60), 0); /* all of its address */
    assert_true(a.disconnected == 1 && b.disconnected == 1 && late.disconnected == 1 &&
                other.disconnected == 0);
    uint32_t retry;
    struct session *none;
    struct net_addr peer = net_addr_v4(10, 0, 0, 1, 9);
    now += CORE_SECONDS(1);
    assert_int_equal(session_begin(s, "HTTP", &peer, &all_acts, NULL, &none, &retry), ERR_PERMISSION);
    assert_int_equal(retry, 59);
    now += CORE_SECONDS(59);
    begin(s, &a, "10.0.0.1:1", &all_acts);

    session_who(a.session, &(struct account_who){ACCOUNT_USER, "ann"});
    session_who(other.session, &(struct account_who){ACCOUNT_OWNER, "bob"});
    sessions_end_account(s, "ann");
    assert_true(a.disconnected == 1 && other.disconnected == 0 && loop.disconnected == 0);
    assert_int_equal(sessions_disconnect(s, io, 0), 0);
    session_end(late.session);
    session_end(cannot.session);
    session_end(loop.session);
    sessions_free(s);
}

static void hostile_text(void **state)
{
    static const struct {
        const char *given, *shown;
    } cases[] = {
        {"plain", "plain"},
        {"a\x1b]0;x\x07z", "a?]0;x?z"},
        {"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80", "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\xc0\xaf", "??"},
        {"\xe0\x80\xaf", "???"},
        {"\xed\xa0\x80", "???"},
        {"\xf4\x90\x80\x80", "????"},
        {"\xf5\x80", "??"},
        {"\xc2\x9b", "??"},
        {"cut\xe2\x82", "cut??"},
        {"\x7f", "?"},
    };
    (void)state;
    struct sessions *s = make(10, 5);
    struct client c;
    uint32_t id = begin(s, &c, "10.0.0.1:1", &no_acts);
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        session_client(c.session, bytes_of(cases[k].given, strlen(cases[k].given)));
        session_command(c.session, "%s", cases[k].given);
        session_transfer_begin(c.session, cases[k].given, false);
        assert_string_equal(info(s, id).client, cases[k].shown);
        assert_string_equal(info(s, id).command, cases[k].shown);
        assert_string_equal(info(s, id).path, cases[k].shown);
    }
    char longer[1000];
    for (size_t k = 0; k + 1 < sizeof longer; k += 2)
        memcpy(longer + k, "\xc3\xa4", 2);
    session_client(c.session, bytes_of(longer, sizeof longer));
    assert_int_equal(strlen(info(s, id).client), 78); /* whole characters */
    session_client(c.session, bytes_of("a\0b", 3));
    assert_string_equal(info(s, id).client, "a?b");
    session_end(c.session);
    sessions_free(s);
}

static bool last_line(void *context, const struct session_log *line)
{
    struct session_log *out = context;
    assert_true(out->number == 0 || line->number == out->number + 1);
    *out = *line;
    return true;
}

static void log_and_lists(void **state)
{
    (void)state;
    struct sessions *s = make(2000, 2000);
    struct client c[600];
    struct session_log line = {0};
    for (size_t k = 0; k < 600; k++)
        begin(s, &c[k], "10.0.0.1:1", &no_acts);
    uint64_t before = sessions_changes(s);
    session_transfer_begin(c[5].session, "/shared/film", false);
    session_bytes(c[5].session, 0, 12345);
    session_transfer_end(c[5].session, true);
    assert_true(sessions_changes(s) > before);
    sessions_log(s, 0, last_line, &line);
    assert_int_equal(line.number, 601);
    assert_int_equal(line.event, SESSION_SENT);
    assert_int_equal(line.bytes, 12345);
    assert_string_equal(line.path, "/shared/film");
    line.number = 0;
    sessions_log(s, 602, last_line, &line);
    assert_int_equal(line.number, 0); /* nothing new */
    uint32_t n[3] = {0, 0, 1000};
    sessions_each(s, count, n);
    assert_int_equal(n[0], 600);
    n[0] = n[1] = 0;
    n[2] = 10;
    sessions_each(s, count, n);
    assert_int_equal(n[0], 10);
    for (size_t k = 0; k < 600; k++)
        session_end(c[k].session);
    sessions_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line),     cmocka_unit_test(where),        cmocka_unit_test(refused),
        cmocka_unit_test(owner_acts), cmocka_unit_test(hostile_text), cmocka_unit_test(log_and_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The node's datagram sockets over loopback: both families on one port, a port that is taken, sockets closed and opened again, and a flood that
 * must not keep the loop from its other work. The core is replaced by a list of what it received. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "node/base/addr.h"
#include "node/channel/datagram.h"
#include "node/host/streams.h"
#include "node/host/udp.h"

/* ---- the core's place ---- */

static struct {
    unsigned count;
    struct net_addr from;
    uint8_t data[DATAGRAM_MAX];
    size_t size;
} received;

void node_datagram(struct node *n, core_time now, const struct net_addr *from, const uint8_t *data, size_t size, struct effects *out)
{
    (void)n;
    (void)now;
    (void)out;
    received.count++;
    received.from = *from;
    received.size = size;
    if (size <= sizeof received.data)
        memcpy(received.data, data, size);
}
void node_wake(struct node *n, core_time now, struct effects *out)
{
    (void)n;
    (void)now;
    (void)out;
}
bool node_route(struct node *n, core_time now, struct effects *out)
{
    (void)n;
    (void)now;
    (void)out;
    return false;
}
core_time node_deadline(const struct node *n)
{
    (void)n;
    return CORE_NEVER;
}
void streams_effect(struct streams *s, const struct effect *x)
{
    (void)s;
    (void)x;
}

/* ---- one loop, two sockets' owners ---- */

static uv_loop_t loop;
static struct host_core core;
static struct udp *a, *b;

static int setup(void **state)
{
    (void)state;
    memset(&received, 0, sizeof received);
    memset(&core, 0, sizeof core);
    uv_loop_init(&loop);
    host_core_init(&core, &loop);
    core.node = (struct node *)&core; /* only its address is used */
    a = udp_new(&core);
    b = udp_new(&core);
    return a && b ? 0 : -1;
}

static void on_closed(void *context)
{
    ++*(int *)context;
}

static int teardown(void **state)
{
    int closed = 0;
    (void)state;
    udp_close(a, on_closed, &closed);
    udp_close(b, on_closed, &closed);
    host_core_stop(&core);
    uv_run(&loop, UV_RUN_DEFAULT);
    udp_free(a);
    udp_free(b);
    udp_free(NULL);
    host_core_fini(&core);
    return closed == 2 ? uv_loop_close(&loop) : -1;
}

static struct net_addr loopback4(void)
{
    return net_addr_v4(127, 0, 0, 1, 0);
}
static struct net_addr loopback6(uint16_t port)
{
    return (struct net_addr){.ip = {[15] = 1}, .port = port};
}

static void wait_for(unsigned count)
{
    core_time end = host_now(&core) + CORE_SECONDS(10);
    while (received.count < count && host_now(&core) < end)
        uv_run(&loop, UV_RUN_NOWAIT);
    assert_true(received.count >= count);
}

static void a_datagram_goes_from_one_socket_to_another(void **state)
{
    struct net_addr addr_a = loopback4(), addr_b = loopback4();
    struct udp_totals totals;
    (void)state;
    assert_int_equal(udp_open(a, &addr_a), 0);
    assert_int_equal(udp_open(b, &addr_b), 0);
    assert_true(addr_a.port != 0 && addr_b.port != 0);
    udp_send(a, &addr_b, bytes_of("hello", 5));
    wait_for(1);
    assert_int_equal(received.size, 5);
    assert_memory_equal(received.data, "hello", 5);
    assert_true(net_addr_equal(&received.from, &addr_a));
    udp_totals(a, &totals);
    assert_int_equal(totals.sent, 1);
    assert_int_equal(totals.sent_bytes, 5);
    udp_totals(b, &totals);
    assert_int_equal(totals.received, 1);
}

static void both_families_share_a_port(void **state)
{
    struct net_addr v4 = loopback4();
    (void)state;
    assert_int_equal(udp_open(a, &v4), 0);
    struct net_addr v6 = loopback6(v4.port);
    int rc = udp_open(a, &v6);
    if (rc == UV_EADDRNOTAVAIL || rc == UV_EAFNOSUPPORT)
        skip(); /* no IPv6 here */
    assert_int_equal(rc, 0);
    assert_int_equal(v6.port, v4.port);
    udp_send(a, &v6, bytes_of("six", 3)); /* to itself */
    wait_for(1);
    assert_true(net_addr_equal(&received.from, &v6));
    udp_send(a, &v4, bytes_of("four", 4));
    wait_for(2);
    assert_true(net_addr_equal(&received.from, &v4));
}

static void a_port_in_use_is_an_error_and_leaves_nothing(void **state)
{
    struct net_addr addr = loopback4();
    (void)state;
    assert_int_equal(udp_open(a, &addr), 0);
    struct net_addr taken = addr;
    assert_int_equal(udp_open(b, &taken), UV_EADDRINUSE);
    struct net_addr other = loopback4();
    assert_int_equal(udp_open(b, &other), 0);
}

static void sockets_can_be_closed_and_opened_again_at_once(void **state)
{
    struct net_addr first = loopback4();
    (void)state;
    assert_int_equal(udp_open(a, &first), 0);
    for (int i = 0; i < 5; i++) {
        udp_shut(a);
        struct net_addr again = loopback4();
        assert_int_equal(udp_open(a, &again), 0);
    }
}

static void without_a_socket_of_that_family_a_datagram_is_dropped(void **state)
{
    struct net_addr to = net_addr_v4(127, 0, 0, 1, 9), addr = loopback4(), six = loopback6(9);
    struct udp_totals totals;
    (void)state;
    udp_send(a, &to, bytes_of("x", 1));
    assert_int_equal(udp_open(a, &addr), 0);
    udp_send(a, &six, bytes_of("x", 1));
    udp_totals(a, &totals);
    assert_int_equal(totals.dropped, 2);
}

static void unbound_sockets_get_ports_of_their_own(void **state)
{
    struct net_addr addr = loopback4();
    (void)state;
    assert_int_equal(udp_open_unbound(a), 0);
    assert_int_equal(udp_open(b, &addr), 0);
    udp_send(a, &addr, bytes_of("x", 1));
    wait_for(1);
    assert_true(received.from.port != 0);
}

static void errors_of_the_kernel_are_counted(void **state)
{
    struct net_addr addr = loopback4(), nowhere = net_addr_v4(255, 255, 255, 255, 9); /* no permission to broadcast */
    struct udp_totals totals;
    (void)state;
    assert_int_equal(udp_open(a, &addr), 0);
    udp_send(a, &nowhere, bytes_of("x", 1));
    udp_totals(a, &totals);
    assert_int_equal(totals.failed, 1);
    udp_send(a, &addr, bytes_of("still works", 11));
    wait_for(1);
}

static unsigned turns;
static void on_idle(uv_idle_t *idle)
{
    (void)idle;
    turns++;
}

/* Thousands of datagrams wait in the kernel; every turn of the loop takes a bounded number of them and then lets others work. */
static void a_flood_leaves_the_loop_its_turns(void **state)
{
    struct net_addr addr_a = loopback4(), addr_b = loopback4();
    static uint8_t data[64];
    static uv_idle_t idle;
    (void)state;
    assert_int_equal(udp_open(a, &addr_a), 0);
    assert_int_equal(udp_open(b, &addr_b), 0);
    for (int i = 0; i < 200; i++)
        udp_send(a, &addr_b, bytes_of(data, sizeof data));
    uv_idle_init(&loop, &idle);
    uv_idle_start(&idle, on_idle);
    turns = 0;
    unsigned most = 0;
    for (unsigned before = 0; received.count < 200 && turns < 100000; before = received.count) {
        uv_run(&loop, UV_RUN_NOWAIT);
        most = received.count - before > most ? received.count - before : most;
    }
    uv_close((uv_handle_t *)&idle, NULL);
    assert_int_equal(received.count, 200);
    assert_true(most <= 64);
    assert_true(turns >= 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_datagram_goes_from_one_socket_to_another),
        TEST(both_families_share_a_port),
        TEST(a_port_in_use_is_an_error_and_leaves_nothing),
        TEST(sockets_can_be_closed_and_opened_again_at_once),
        TEST(without_a_socket_of_that_family_a_datagram_is_dropped),
        TEST(unbound_sockets_get_ports_of_their_own),
        TEST(errors_of_the_kernel_are_counted),
        TEST(a_flood_leaves_the_loop_its_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

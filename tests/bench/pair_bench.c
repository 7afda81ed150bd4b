/* Two nodes, reduced to core, streams and data plane, in two processes: one file from one to the other over
 * loopback, to disk, synced, renamed. To be compared with loop_bench in the same run; the whole nodes are
 * measured by tests/bench/transfer.py.
 *
 *     pair_bench --src FILE --dst FILE [--rounds N]
 *
 * Prints MB/s from the dial to the final name, and the most resident memory of each process. */
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/host/streams_pair.h"

#define BUDGET (24u << 20)

struct hello {
    struct content_id id;
    uint8_t key[NODE_KEY_SIZE];
    struct net_addr addr;
};

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double resident_mib(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss / 1024;
}

static void report(const char *who)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    fprintf(stderr, "  %s: resident at most %.1f MiB, cpu %.2f s user %.2f s system, switches %ld + %ld\n",
            who, resident_mib(), (double)u.ru_utime.tv_sec + (double)u.ru_utime.tv_usec / 1e6,
            (double)u.ru_stime.tv_sec + (double)u.ru_stime.tv_usec / 1e6, u.ru_nvcsw, u.ru_nivcsw);
}

static void on_order(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    uv_stop(poll->loop);
}

static void seed_run(const char *src, const char *tree, int out, int order)
{
    uv_loop_t loop;
    struct peer p;
    struct hello h;
    uv_loop_init(&loop);
    peer_start(&p, &loop, 1, "/tmp", BUDGET);
    peer_share(&p, src, tree, &h.id);
    memcpy(h.key, p.me.key, NODE_KEY_SIZE);
    h.addr = p.listen;
    core_assert(write(out, &h, sizeof h) == sizeof h);
    uv_poll_t poll;
    uv_poll_init(&loop, &poll, order);
    uv_poll_start(&poll, UV_READABLE, on_order);
    uv_run(&loop, UV_RUN_DEFAULT);
    report("seed");
    _exit(0);
}

static double leech_run(const struct hello *h, const char *dst, const char *tree)
{
    uv_loop_t loop;
    struct peer p;
    uv_loop_init(&loop);
    double start = seconds();
    peer_start(&p, &loop, 2, "/tmp", BUDGET);
    struct peer_swarm *s = peer_fetch(&p, &h->id, dst, tree);
    peer_source(&p, s, h->key, &h->addr);
    while (!s->finished && !s->trouble)
        uv_run(&loop, UV_RUN_ONCE);
    double took = seconds() - start;
    if (s->status != 0 || s->trouble != 0) {
        fprintf(stderr, "pair_bench: %s\n", err_text(s->status ? s->status : s->trouble));
        exit(1);
    }
    peer_stop(&p);
    report("leech");
    return took;
}

int main(int argc, char **argv)
{
    const char *src = NULL, *dst = NULL;
    int rounds = 1;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--src") == 0)
            src = argv[i + 1];
        else if (strcmp(argv[i], "--dst") == 0)
            dst = argv[i + 1];
        else if (strcmp(argv[i], "--rounds") == 0)
            rounds = atoi(argv[i + 1]);
    }
    if (!src || !dst) {
        fprintf(stderr, "usage: pair_bench --src FILE --dst FILE [--rounds N]\n");
        return 2;
    }
    char src_tree[4096], dst_tree[4096];
    snprintf(src_tree, sizeof src_tree, "%s.srctree", dst);
    snprintf(dst_tree, sizeof dst_tree, "%s.dsttree", dst);
    for (int round = 0; round < rounds; round++) {
        int pipes[2][2];
        core_assert(pipe(pipes[0]) == 0 && pipe(pipes[1]) == 0);
        unlink(dst);
        unlink(dst_tree);
        pid_t child = fork();
        if (child == 0)
            seed_run(src, src_tree, pipes[0][1], pipes[1][0]);
        struct hello h;
        core_assert(read(pipes[0][0], &h, sizeof h) == sizeof h);
        pid_t leech = fork();
        if (leech == 0) {
            double took = leech_run(&h, dst, dst_tree);
            printf("pair: %.0f MB/s (%.3f s for %llu bytes)\n", (double)h.id.size / took / 1e6, took,
                   (unsigned long long)h.id.size);
            exit(0);
        }
        waitpid(leech, NULL, 0);
        core_assert(write(pipes[1][1], "x", 1) == 1);
        waitpid(child, NULL, 0);
        for (int i = 0; i < 4; i++)
            close(pipes[i / 2][i % 2]);
    }
    unlink(src_tree);
    unlink(dst_tree);
    return 0;
}

/* The table of jobs: it is bounded, finds jobs by number, keeps ended ones for a while, and counts more problems than it stores. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "node/host/jobs.h"

static struct host_core core;

static int setup(void **state)
{
    *state = jobs_new(&core);
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    jobs_free(*state);
    return 0;
}

static void count_one(void *context, struct job *job)
{
    uint32_t *last = context;
    assert_true(job->id > last[1]); /* ascending */
    last[1] = job->id;
    last[0]++;
}

static uint32_t count(struct jobs *j)
{
    uint32_t seen[2] = {0, 0};
    jobs_each(j, count_one, seen);
    return seen[0];
}

static void test_find_and_end(void **state)
{
    struct jobs *j = *state;
    struct job *a = jobs_add(j, JOB_GET), *b = jobs_add(j, JOB_SHARE);
    assert_int_equal(a->id, 1);
    assert_int_equal(b->id, 2);
    assert_int_equal(b->kind, JOB_SHARE);
    assert_ptr_equal(jobs_find(j, 1), a);
    assert_null(jobs_find(j, 3));
    assert_null(jobs_find(j, 0));

    a->rate = 7;
    job_done(a);
    assert_int_equal(a->state, JOB_DONE);
    assert_int_equal(a->rate, 0);
    assert_true(a->ended >= a->started);

    job_fail(b, ERR_NO_SPACE, "no room in %s", "/x");
    assert_int_equal(b->state, JOB_FAILED);
    assert_int_equal(b->error, ERR_NO_SPACE);
    assert_string_equal(b->message, "no room in /x");
    assert_ptr_equal(jobs_find(j, 2), b);
    assert_int_equal(count(j), 2);
}

static void test_running_jobs_are_bounded(void **state)
{
    struct jobs *j = *state;
    struct job *job, *last = NULL;
    uint32_t n = 0;
    while ((job = jobs_add(j, JOB_GET)) != NULL) {
        last = job;
        assert_true(++n <= 256);
    }
    assert_int_equal(n, 256);
    job_done(last);
    assert_non_null(jobs_add(j, JOB_GET));
    assert_null(jobs_add(j, JOB_GET));
}

static void test_ended_jobs_are_bounded(void **state)
{
    struct jobs *j = *state;
    struct job *stays = jobs_add(j, JOB_GET);
    for (uint32_t i = 0; i < 1200; i++)
        job_done(jobs_add(j, JOB_LIST));
    assert_int_equal(count(j), 1001); /* the oldest went, never a running one */
    assert_ptr_equal(jobs_find(j, 1), stays);
    assert_null(jobs_find(j, 2));
    assert_non_null(jobs_find(j, 1201));
}

static void test_ended_jobs_expire(void **state)
{
    struct jobs *j = *state;
    struct job *a = jobs_add(j, JOB_GET), *b = jobs_add(j, JOB_GET);
    job_done(a);
    job_done(b);
    if (host_now(&core) < CORE_MINUTES(11))
        skip(); /* the monotonic clock began just now */
    a->ended = host_now(&core) - CORE_MINUTES(10);
    b->ended = host_now(&core) - CORE_MINUTES(9);
    assert_null(jobs_find(j, 1));
    assert_ptr_equal(jobs_find(j, 2), b);
}

static void test_problems(void **state)
{
    struct jobs *j = *state;
    struct job *job = jobs_add(j, JOB_SHARE);
    for (uint32_t i = 0; i < 250; i++)
        job_problem(job, i ? "a/b" : NULL, ERR_PERMISSION, i == 1 ? "unreadable" : NULL);
    assert_int_equal(job->problem_count, JOB_PROBLEMS_MAX);
    assert_int_equal(job->problems_total, 250);
    assert_string_equal(job->problems[0].path, "");
    assert_string_equal(job->problems[1].text, "unreadable");
    assert_string_equal(job->problems[2].text, err_text(ERR_PERMISSION));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_find_and_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_running_jobs_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ended_jobs_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ended_jobs_expire, setup, teardown),
        cmocka_unit_test_setup_teardown(test_problems, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

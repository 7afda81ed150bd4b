/* Assertions state our own bugs and stay on in release builds. Never assert on a peer's bytes or on the environment. */
#ifndef SHOAL_BASE_ASSERT_H
#define SHOAL_BASE_ASSERT_H

_Noreturn void core_assert_fail(const char *expression, const char *file, int line);

#define core_assert(expression) ((expression) ? (void)0 : core_assert_fail(#expression, __FILE__, __LINE__))
#endif

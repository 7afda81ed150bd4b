/* Deaths on purpose, for the tests of what a crash leaves behind. */
#ifndef SHOAL_HOST_FAULT_H
#define SHOAL_HOST_FAULT_H
/* Ends this process by SIGKILL when the environment variable SHOAL_FAULT names this point. Nothing else reads that variable; without it this is a
 * getenv at places that are passed once a fetch. Any thread. */
void fault_point(const char *name);
#endif

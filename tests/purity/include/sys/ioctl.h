/* Stands before the system's <sys/ioctl.h> on the include path of the purity check (tests/purity/check.py). */
#ifdef PURITY_THIRD_PARTY
#include_next <sys/ioctl.h>
#else
#error "a core room or a gateway parser may not include sys/ioctl.h (DESIGN.md, 'The core interface')"
#endif

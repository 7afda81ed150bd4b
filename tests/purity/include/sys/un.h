/* Stands before the system's <sys/un.h> on the include path of the purity check (tests/purity/check.py). */
#ifdef PURITY_THIRD_PARTY
#include_next <sys/un.h>
#else
#error "a core room or a gateway parser may not include sys/un.h (DESIGN.md, 'The core interface')"
#endif

/* Stands before the system's <poll.h> on the include path of the purity check (tests/purity/check.py). */
#ifdef PURITY_THIRD_PARTY
#include_next <poll.h>
#else
#error "a core room or a gateway parser may not include poll.h (DESIGN.md, 'The core interface')"
#endif

/* Stands before the system's <pthread.h> on the include path of the purity check (tests/purity/check.py). */
#ifdef PURITY_THIRD_PARTY
#include_next <pthread.h>
#else
#error "a core room or a gateway parser may not include pthread.h (DESIGN.md, 'The core interface')"
#endif

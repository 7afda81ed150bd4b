/* Stands before the system's <threads.h> on the include path of the purity check (tests/purity/check.py). */
#ifdef PURITY_THIRD_PARTY
#include_next <threads.h>
#else
#error "a core room or a gateway parser may not include threads.h (DESIGN.md, 'The core interface')"
#endif

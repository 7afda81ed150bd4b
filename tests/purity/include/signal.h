/* Stands before the system's <signal.h> on the include path of the purity check (tests/purity/check.py). */
#ifdef PURITY_THIRD_PARTY
#include_next <signal.h>
#else
#error "a core room or a gateway parser may not include signal.h (DESIGN.md, 'The core interface')"
#endif

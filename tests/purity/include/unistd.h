/* Stands before the system's <unistd.h> on the include path of the purity check (tests/purity/check.py). */
#ifdef PURITY_THIRD_PARTY
#include_next <unistd.h>
#else
#error "a core room or a gateway parser may not include unistd.h (DESIGN.md, 'The core interface')"
#endif

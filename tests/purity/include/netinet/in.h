/* Stands before the system's <netinet/in.h> on the include path of the purity check (tests/purity/check.py). */
#ifdef PURITY_THIRD_PARTY
#include_next <netinet/in.h>
#else
#error "a core room or a gateway parser may not include netinet/in.h (DESIGN.md, 'The core interface')"
#endif

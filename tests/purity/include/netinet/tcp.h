/* Stands before the system's <netinet/tcp.h> on the include path of the purity check (tests/purity/check.py). */
#ifdef PURITY_THIRD_PARTY
#include_next <netinet/tcp.h>
#else
#error "a core room or a gateway parser may not include netinet/tcp.h (DESIGN.md, 'The core interface')"
#endif

/* Stands before the system's <arpa/inet.h> on the include path of the purity check (tests/purity/check.py). */
#ifdef PURITY_THIRD_PARTY
#include_next <arpa/inet.h>
#else
#error "a core room or a gateway parser may not include arpa/inet.h (DESIGN.md, 'The core interface')"
#endif

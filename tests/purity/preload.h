/* Included first by the purity check: the libraries that a core may use bring some system headers with them (msgpack's byte order wants
 * arpa/inet.h, OpenSSL's headers want pthread.h and time.h). After this, the same headers are errors. */
#define PURITY_THIRD_PARTY
#include <msgpack.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <sodium.h>
#undef PURITY_THIRD_PARTY

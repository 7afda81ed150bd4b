#include "node/base/err.h"

const char *err_name(int code)
{
    switch (code) {
    case SHOAL_OK:
        return "OK";
#define X(name, value, text)                                                                                      \
    case name:                                                                                                    \
        return #name;
        SHOAL_ERRORS(X)
#undef X
    default:
        return "ERR_?";
    }
}

const char *err_text(int code)
{
    switch (code) {
    case SHOAL_OK:
        return "no error";
#define X(name, value, text)                                                                                      \
    case name:                                                                                                    \
        return text;
        SHOAL_ERRORS(X)
#undef X
    default:
        return "unknown error";
    }
}

#include "lib/model/reason.h"

#include "lib/base/str.h"

const char *const reason_tokens[R_COUNT_] = {
#define X(code, token, text) token,
    REASONS(X)
#undef X
};
const char *const reason_texts[R_COUNT_] = {
#define X(code, token, text) text,
    REASONS(X)
#undef X
};

#define T struct reason
SHAPE(reason_shape, T, SF_ENUM(T, code, reason_tokens), SF_STR(T, host), SF_STR(T, what),
      SF_STR(T, need), SF_STR(T, have), SF_INT_OR(T, need_n, -1), SF_INT_OR(T, have_n, -1),
      SF_STR(T, where), SF_STR(T, cure), SF_BOOL(T, more));
#undef T

enum reason_code reason_from_token(const char *token)
{
    for (int i = 0; i < R_COUNT_; i++)
        if (str_eq(token, reason_tokens[i]))
            return (enum reason_code)i;
    return R_CHECK_FAILED;
}

#include "node/host/home.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/base/err.h"
#include "node/host/core.h"

#define KEY_FILE  "node.key"
#define LOCK_FILE "lock"

int home_errno(int error)
{
    switch (error) {
    case 0:
        return 0;
    case ENOSPC:
    case EDQUOT:
        return ERR_NO_SPACE;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_PERMISSION;
    case ENOENT:
    case ENOTDIR:
        return ERR_NOT_FOUND;
    case EEXIST:
        return ERR_EXISTS;
    case ENOMEM:
        return ERR_NO_MEMORY;
    default:
        return ERR_IO;
    }
}

static int fail(char *message, int error, const char *what, const char *path, const char *advice)
{
    int code = home_errno(error);
    if (message)
        snprintf(message, HOME_MESSAGE_MAX, "%s %.300s: %s%s%s", what, path, strerror(error), advice ? "; " : "", advice ? advice : "");
    return code;
}

/* mkdir -p, the last folder with mode 0700. */
static int make_folders(char *path)
{
    for (char *p = path + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        int r = mkdir(path, 0755);
        *p = '/';
        if (r < 0 && errno != EEXIST)
            return errno;
    }
    return mkdir(path, 0700) < 0 && errno != EEXIST ? errno : 0;
}

int home_write_file(const char *path, struct bytes data)
{
    char temporary[4200];
    snprintf(temporary, sizeof temporary, "%s.new", path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return home_errno(errno);
    int error = 0;
    for (size_t done = 0; done < data.size && !error;) {
        ssize_t n = write(fd, data.data + done, data.size - done);
        if (n < 0 && errno != EINTR)
            error = errno;
        else if (n > 0)
            done += (size_t)n;
    }
    if (!error && fsync(fd) < 0)
        error = errno;
    close(fd);
    if (!error && rename(temporary, path) < 0)
        error = errno;
    if (error)
        unlink(temporary);
    return home_errno(error);
}

/* The lock names its holder, so that the error can. */
static int take_lock(struct home *h, char *message)
{
    char path[4200], text[32] = "";
    snprintf(path, sizeof path, "%s/" LOCK_FILE, h->path);
    h->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (h->lock < 0)
        return fail(message, errno, "cannot open", path, "check who owns the folder, or name another one with --home");
    if (flock(h->lock, LOCK_EX | LOCK_NB) < 0) {
        ssize_t n = pread(h->lock, text, sizeof text - 1, 0);
        text[n > 0 ? n : 0] = '\0';
        close(h->lock);
        h->lock = -1;
        snprintf(message, HOME_MESSAGE_MAX,
                 "another node (process %.20s) runs on %.300s; stop it with `shoal down`, or name another home with --home",
                 n > 0 ? text : "unknown", h->path);
        return ERR_BUSY;
    }
    int size = snprintf(text, sizeof text, "%ld", (long)getpid());
    if (ftruncate(h->lock, 0) < 0 || pwrite(h->lock, text, (size_t)size, 0) != size)
        return 0; /* only the name in the error is lost */
    return 0;
}

static int load_key(struct home *h, uint8_t seed[NODE_SEED_SIZE], char *message)
{
    char path[4200];
    uint8_t buffer[NODE_SEED_SIZE + 1];
    snprintf(path, sizeof path, "%s/" KEY_FILE, h->path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        host_random(seed, NODE_SEED_SIZE);
        int r = home_write_file(path, bytes_of(seed, NODE_SEED_SIZE));
        if (r != 0)
            snprintf(message, HOME_MESSAGE_MAX, "cannot write the node's key to %.300s: %s", path, err_text(r));
        h->made = r == 0;
        return r;
    }
    if (fd < 0)
        return fail(message, errno, "cannot read the node's key", path, "it must belong to you, mode 0600");
    ssize_t n = read(fd, buffer, sizeof buffer);
    close(fd);
    if (n != NODE_SEED_SIZE) {
        snprintf(message, HOME_MESSAGE_MAX,
                 "%.300s is damaged: %zd bytes instead of %d; restore it from a backup, or remove it to become a new node", path, n,
                 NODE_SEED_SIZE);
        return ERR_MALFORMED;
    }
    memcpy(seed, buffer, NODE_SEED_SIZE);
    crypto_wipe(buffer, sizeof buffer);
    return 0;
}

int home_open(struct home *h, const char *path, uint8_t seed[NODE_SEED_SIZE], char *message)
{
    memset(h, 0, sizeof *h);
    h->lock = -1;
    if (path[0] == '/') {
        snprintf(h->path, sizeof h->path, "%s", path);
    } else {
        char here[2048];
        if (!getcwd(here, sizeof here))
            return fail(message, errno, "cannot tell the current folder for", path, NULL);
        snprintf(h->path, sizeof h->path, "%s/%.2000s", here, path);
    }
    size_t size = strlen(h->path);
    while (size > 1 && h->path[size - 1] == '/')
        h->path[--size] = '\0';
    int error = make_folders(h->path);
    if (error)
        return fail(message, error, "cannot make the home folder", h->path, "name another one with --home");
    int r = take_lock(h, message);
    if (r == 0)
        r = load_key(h, seed, message);
    if (r != 0)
        home_close(h);
    return r;
}

void home_close(struct home *h)
{
    if (h->lock >= 0)
        close(h->lock);
    h->lock = -1;
}

/* ---- Network ---- */

#define NETWORK_KEY "network"
#define HINTS_KEY   "hints"

void home_network_open(struct network *out)
{
    uint8_t hash[HASH_SIZE];
    struct bytes parts[] = {bytes_of("shoal open network 1", 20)};
    core_crypto_real.hash(hash, sizeof hash, NULL, 0, parts, 1);
    memset(out, 0, sizeof *out);
    memcpy(out->id, hash, NETWORK_ID_SIZE);
}

int home_network_save(struct store *s, const struct network *network)
{
    uint8_t value[1 + NETWORK_ID_SIZE + NETWORK_SECRET_SIZE];
    value[0] = network->is_private;
    memcpy(value + 1, network->id, NETWORK_ID_SIZE);
    memcpy(value + 1 + NETWORK_ID_SIZE, network->secret, NETWORK_SECRET_SIZE);
    return store_value_put(s, NETWORK_KEY, bytes_of(value, sizeof value));
}

int home_network_load(struct store *s, struct network *out, bool make_private)
{
    uint8_t value[1 + NETWORK_ID_SIZE + NETWORK_SECRET_SIZE];
    size_t size = 0;
    int r = store_value_get(s, NETWORK_KEY, value, sizeof value, &size);
    if (r == 0 && size != sizeof value)
        return ERR_MALFORMED;
    if (r == ERR_NOT_FOUND) {
        home_network_open(out);
        if (make_private) {
            out->is_private = true;
            host_random(out->id, sizeof out->id);
            host_random(out->secret, sizeof out->secret);
        }
        return home_network_save(s, out);
    }
    if (r != 0)
        return r;
    out->is_private = value[0] != 0;
    memcpy(out->id, value + 1, NETWORK_ID_SIZE);
    memcpy(out->secret, value + 1 + NETWORK_ID_SIZE, NETWORK_SECRET_SIZE);
    return 0;
}

static bool found_share(void *context, const struct store_share *share)
{
    (void)share;
    *(bool *)context = true;
    return false;
}

static bool found_fetch(void *context, const char *target, const struct content_id *id, struct bytes state)
{
    (void)target, (void)id, (void)state;
    *(bool *)context = true;
    return false;
}

int home_network_fresh(struct store *s, bool *fresh)
{
    bool used = false;
    int r = store_shares(s, found_share, &used);
    if (r == 0 && !used)
        r = store_fetches(s, found_fetch, &used);
    *fresh = !used;
    return r;
}

/* ---- Hints: an invite's nodes, kept in the invite's own text form ---- */

int home_hints_save(struct store *s, const struct invite *invite)
{
    char text[INVITE_TEXT_MAX];
    struct invite copy = *invite;
    memset(&copy.network, 0, sizeof copy.network); /* the secret stays in one place */
    int r = invite_format(text, &copy);
    return r ? r : store_value_put(s, HINTS_KEY, bytes_of(text, strlen(text)));
}

uint32_t home_hints_load(struct store *s, struct node_addr out[INVITE_NODES_MAX])
{
    char text[INVITE_TEXT_MAX + 1];
    size_t size = 0;
    struct invite invite;
    if (store_value_get(s, HINTS_KEY, (uint8_t *)text, INVITE_TEXT_MAX, &size) != 0)
        return 0;
    text[size] = '\0';
    if (invite_parse(&invite, text) != 0)
        return 0;
    memcpy(out, invite.nodes, invite.node_count * sizeof *out);
    return invite.node_count;
}

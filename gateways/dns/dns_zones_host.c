/* Zone files: read at the start, where a mistake stops it, and read again in the thread pool when they
 * change, where a mistake is told in the log and what was read before stays. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "gateways/dns/dns_internal_host.h"
#include "gateways/dns/dns_master.h"
#include "node/base/assert.h"
#include "node/host/log.h"

#define PATH_SIZE 8192
#define WATCH_MS  2000

struct dns_file {
    struct dns_gateway *d;
    char path[PATH_SIZE];
    bool has_origin, reading;
    struct dns_name origin;
    struct timespec changed; /* of what was read last, well or not */
    off_t size;
    ino_t inode;
    struct dns_zone *zone; /* the one that is served */

    uv_work_t work;
    struct dns_zone *fresh; /* of the thread, until on_read */
    int result;
    char message[APP_MESSAGE_MAX];
};

/* ---- Reading: no state but the file's; on the loop at the start, in a thread later ---- */

static char *read_file(struct dns_file *f, size_t *size)
{
    struct stat st;
    char *text = NULL;
    int fd = open(f->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        snprintf(f->message, APP_MESSAGE_MAX, "[dns] zone-file: cannot read %.300s: %s", f->path,
                 strerror(errno));
    } else if (!S_ISREG(st.st_mode) || st.st_size > DNS_MASTER_MAX) {
        snprintf(f->message, APP_MESSAGE_MAX, "[dns] zone-file: %.300s is %s", f->path,
                 S_ISREG(st.st_mode) ? "over 256 MiB" : "not a regular file");
    } else {
        size_t n = 0, want = (size_t)st.st_size;
        ssize_t got = 1;
        text = malloc(want + 1);
        while (text && n < want && (got = read(fd, text + n, want - n)) > 0)
            n += (size_t)got;
        if (!text || got < 0) {
            snprintf(f->message, APP_MESSAGE_MAX, "[dns] zone-file: cannot read %.300s: %s", f->path,
                     text ? strerror(errno) : "not enough memory");
            free(text);
            text = NULL;
        }
        *size = n;
    }
    if (fd >= 0)
        close(fd);
    return text;
}

static void complain(struct dns_file *f, uint32_t line, const char *why)
{
    if (line)
        snprintf(f->message, APP_MESSAGE_MAX, "[dns] zone-file: %.200s:%u: %.250s", f->path, line, why);
    else
        snprintf(f->message, APP_MESSAGE_MAX, "[dns] zone-file: %.200s: %.250s", f->path, why);
}

/* f->fresh, or f->result and f->message. */
static void read_zone(struct dns_file *f)
{
    char why[DNS_ZONE_MESSAGE] = "not enough memory";
    size_t size = 0;
    uint32_t line = 0;
    char *text = read_file(f, &size);
    f->result = ERR_IO;
    if (!text)
        return;
    struct dns_zone *zone = dns_zone_new();
    f->result = zone ? dns_master_read(zone, text, size, f->has_origin ? &f->origin : NULL, &line, why)
                     : ERR_NO_MEMORY;
    if (f->result == 0)
        f->result = dns_zone_finish(zone, &line, why);
    free(text);
    if (f->result != 0) {
        complain(f, line, why);
        dns_zone_free(zone);
        return;
    }
    f->fresh = zone;
}

static bool stamp(struct dns_file *f)
{
    struct stat st;
    if (stat(f->path, &st) != 0)
        return false; /* it is being written anew, or gone: what was read stays */
    bool same = st.st_mtim.tv_sec == f->changed.tv_sec && st.st_mtim.tv_nsec == f->changed.tv_nsec &&
                st.st_size == f->size && st.st_ino == f->inode;
    f->changed = st.st_mtim;
    f->size = st.st_size;
    f->inode = st.st_ino;
    return !same;
}

/* ---- The start ---- */

/* What relative names of a file without $ORIGIN continue with: "example.org" of example.org.zone,
 * db.example.org, example.org. */
static bool origin_of(struct dns_name *out, const char *path)
{
    static const struct dns_name root = {1, 0, {0}};
    static const char *const endings[] = {".zone", ".db", ".txt", ".master", ".hosts"};
    char name[256];
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    if (strncmp(base, "db.", 3) == 0)
        base += 3;
    if (snprintf(name, sizeof name, "%s", base) >= (int)sizeof name)
        return false;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t n = strlen(name), e = strlen(endings[i]);
        if (n > e && strcmp(name + n - e, endings[i]) == 0)
            name[n - e] = 0;
    }
    return dns_name_from_text(out, name, strlen(name), &root) == 0;
}

/* "example.org=PATH" or "PATH" */
static int take_setting(struct dns_file *f, const char *setting)
{
    static const struct dns_name root = {1, 0, {0}};
    const char *equals = strchr(setting, '='), *slash = strchr(setting, '/'), *file = setting;
    if (equals && (!slash || equals < slash)) {
        file = equals + 1;
        f->has_origin = dns_name_from_text(&f->origin, setting, (size_t)(equals - setting), &root) == 0;
        if (!f->has_origin) {
            snprintf(f->message, APP_MESSAGE_MAX, "[dns] zone-file: \"%.*s\" is not a domain name",
                     (int)(equals - setting), setting);
            return ERR_MALFORMED;
        }
    } else {
        f->has_origin = origin_of(&f->origin, file);
    }
    snprintf(f->path, sizeof f->path, "%s%s%s", *file == '/' ? "" : f->d->g->app->home.path,
             *file == '/' ? "" : "/", file);
    return 0;
}

static void tell(const struct dns_file *f)
{
    char name[DNS_NAME_TEXT_MAX];
    log_info("dns", "zone %s from %s, %u records", dns_name_to_text(name, dns_zone_apex(f->zone)->wire),
             f->path, dns_zone_records(f->zone));
}

static int load_one(struct dns_gateway *d, const char *setting, char *message)
{
    struct dns_file *f = &d->files[d->file_count];
    f->d = d;
    f->result = take_setting(f, setting);
    stamp(f);
    if (f->result == 0)
        read_zone(f);
    if (f->result == 0) {
        f->result = dns_server_add_zone(&d->server, f->fresh);
        if (f->result != 0) {
            complain(f, 0, f->result == ERR_FULL ? "too many zone files" : "its zone is served already");
            dns_zone_free(f->fresh);
        }
    }
    if (f->result != 0) {
        memcpy(message, f->message, APP_MESSAGE_MAX);
        return f->result;
    }
    f->zone = f->fresh;
    f->fresh = NULL;
    d->file_count++;
    tell(f);
    return 0;
}

int dns_zones_load(struct dns_gateway *d, char *message)
{
    char setting[sizeof d->g->app->config.dns_zone_file], *rest = setting;
    struct stat st;
    int r = 0;
    snprintf(setting, sizeof setting, "%s", d->g->app->config.dns_zone_file);
    if (!setting[0])
        return 0;
    d->files = calloc(DNS_ZONES_MAX + 1,
                      sizeof *d->files); /* one more, so that a file too many is refused as such */
    if (!d->files) {
        snprintf(message, APP_MESSAGE_MAX, "not enough memory for zone files");
        return ERR_NO_MEMORY;
    }
    if (stat(setting, &st) == 0) /* one path, perhaps with spaces */
        return load_one(d, setting, message);
    for (char *word; r == 0 && (word = strtok_r(rest, " \t", &rest));)
        r = load_one(d, word, message);
    return r;
}

/* ---- Changes ---- */

static void work(uv_work_t *request)
{
    read_zone(request->data);
}

static void on_read(uv_work_t *request, int status)
{
    struct dns_file *f = request->data;
    struct dns_gateway *d = f->d;
    struct dns_zone *fresh = f->fresh;
    f->fresh = NULL;
    f->reading = false;
    if (status != 0 || d->closing) {
        dns_zone_free(fresh);
    } else if (f->result != 0) {
        log_warning("dns", "%s; what was read before is still served", f->message);
    } else if (!dns_server_replace_zone(&d->server, f->zone, fresh)) {
        log_warning("dns", "%s is of another zone now: that takes a new start", f->path);
        dns_zone_free(fresh);
    } else {
        f->zone = fresh;
        tell(f);
    }
    gateways_release(d->g);
}

static void on_watch(uv_timer_t *timer)
{
    struct dns_gateway *d = timer->data;
    for (unsigned i = 0; i < d->file_count; i++) {
        struct dns_file *f = &d->files[i];
        if (f->reading || !stamp(f))
            continue;
        f->work.data = f;
        f->reading = uv_queue_work(&d->g->app->loop, &f->work, work, on_read) == 0;
        if (f->reading)
            gateways_hold(d->g);
    }
}

int dns_zones_watch(struct dns_gateway *d)
{
    if (d->file_count == 0)
        return 0;
    uv_timer_init(&d->g->app->loop, &d->watch);
    d->watch.data = d;
    d->watching = true;
    gateways_hold(d->g);
    return uv_timer_start(&d->watch, on_watch, WATCH_MS, WATCH_MS);
}

static void on_closed(uv_handle_t *handle)
{
    struct dns_gateway *d = handle->data;
    gateways_release(d->g);
}

void dns_zones_stop(struct dns_gateway *d)
{
    if (d->watching)
        uv_close((uv_handle_t *)&d->watch, on_closed);
    d->watching = false;
}

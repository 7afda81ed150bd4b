#include "node/host/config.h"
#include "dht/dht.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <pwd.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/host/log.h"

#define MESSAGE_MAX 512
#define LINE_SIZE   4096
#define BUDGET_MIN  (1024 * 1024)
#define COUNT_MAX   1000000

enum value_kind { VALUE_LISTEN, VALUE_SWITCH, VALUE_SIZE, VALUE_RATE, VALUE_MEMORY, VALUE_PEERS, VALUE_LEVEL, VALUE_PATH,
                  VALUE_ZONES, VALUE_COUNT, VALUE_K,
                  VALUE_PORTS, VALUE_ADDRESS, VALUE_SECONDS, VALUE_VISITORS, VALUE_NICKNAME, VALUE_LISTED };

struct known {
    const char *section, *key;
    enum value_kind kind;
    size_t offset;
};

#define AT(field) offsetof(struct config, field)
static const struct known known[] = {
    {"node", "listen", VALUE_LISTEN, AT(listen)},
    {"node", "nickname", VALUE_NICKNAME, AT(nickname)},
    {"search", "list", VALUE_LISTED, AT(search_list)},
    {"network", "bootstrap", VALUE_PEERS, 0},
    {"network", "private", VALUE_SWITCH, AT(network_private)},
    {"network", "neighbours", VALUE_SWITCH, AT(neighbours)},
    {"dht", "k", VALUE_K, AT(dht_k)},
    {"transfer", "upload", VALUE_RATE, AT(upload_rate)},
    {"transfer", "download", VALUE_RATE, AT(download_rate)},
    {"transfer", "memory", VALUE_MEMORY, AT(budget)},
    {"store", "quota", VALUE_SIZE, AT(quota)},
    {"http", "listen", VALUE_LISTEN, AT(http)},
    {"http", "echo", VALUE_LISTEN, AT(http_echo)},
    {"http", "names", VALUE_ZONES, AT(http_names)},
    {"http", "timeout", VALUE_SECONDS, AT(http_timeout_s)},
    {"gateways", "connections", VALUE_COUNT, AT(gateway_connections)},
    {"gateways", "connections-per-address", VALUE_COUNT, AT(gateway_per_address)},
    {"ftp", "listen", VALUE_LISTEN, AT(ftp)},
    {"ftp", "ports", VALUE_PORTS, AT(ftp_port_first)},
    {"ftp", "external", VALUE_ADDRESS, AT(ftp_external)},
    {"ftp", "idle", VALUE_SECONDS, AT(ftp_idle_s)},
    {"ftp", "anonymous", VALUE_VISITORS, AT(ftp_anonymous)},
    {"dns", "listen", VALUE_LISTEN, AT(dns)},
    {"dns", "zone", VALUE_ZONES, AT(dns_zone)},
    {"dns", "zone-file", VALUE_PATH, AT(dns_zone_file)},
    {"dns", "rate-limit", VALUE_COUNT, AT(dns_rate)},
    {"log", "level", VALUE_LEVEL, AT(log_level)},
    {"log", "file", VALUE_PATH, AT(log_file)},
};
#define KNOWN_COUNT (sizeof known / sizeof *known)

void config_default(struct config *c)
{
    memset(c, 0, sizeof *c);
    c->neighbours = true;
    c->budget = 24u << 20;
    c->ftp_idle_s = 600;
    c->dns_rate = 200;
    c->http_timeout_s = 30;
    c->gateway_connections = 20000;
    c->gateway_per_address = 256;
    c->log_level = LOG_INFO;
}

/* ---- values ---- */

/* A unit of bytes at the start of `text`; returns its end, or NULL. Bits ("Mb") are not guessed at. */
static const char *unit_parse(const char *text, uint64_t *factor)
{
    static const char prefixes[] = "kMGT";
    uint64_t decimal = 1000, binary = 1024;
    if (*text == 'B') {
        *factor = 1;
        return text + 1;
    }
    for (const char *p = prefixes; *p; p++, decimal *= 1000, binary *= 1024) {
        if (*text != *p && !(*p == 'k' && *text == 'K'))
            continue;
        bool is_binary = text[1] == 'i';
        *factor = is_binary ? binary : decimal;
        text += is_binary ? 2 : 1;
        return *text == 'B' ? text + 1 : NULL;
    }
    return NULL;
}

/* "1.5GB" then `suffix` to the end. */
static int quantity_parse(uint64_t *out, const char *text, const char *suffix)
{
    uint64_t whole = 0, fraction = 0, scale = 1, factor;
    const char *p = text;
    if (strcmp(text, "0") == 0) {
        *out = 0;
        return 0;
    }
    if (!isdigit((unsigned char)*p))
        return ERR_MALFORMED;
    for (; isdigit((unsigned char)*p); p++) {
        if (__builtin_mul_overflow(whole, 10u, &whole) || __builtin_add_overflow(whole, (uint64_t)(*p - '0'), &whole))
            return ERR_RANGE;
    }
    if (*p == '.') {
        if (!isdigit((unsigned char)*++p))
            return ERR_MALFORMED;
        for (; isdigit((unsigned char)*p); p++) {
            if (scale == 1000000)
                return ERR_RANGE;
            fraction = fraction * 10 + (uint64_t)(*p - '0');
            scale *= 10;
        }
    }
    while (*p == ' ')
        p++;
    p = unit_parse(p, &factor);
    if (!p || strcmp(p, suffix) != 0)
        return ERR_MALFORMED;
    if (__builtin_mul_overflow(whole, factor, &whole) ||
        __builtin_add_overflow(whole, (uint64_t)((__uint128_t)factor * fraction / scale), &whole))
        return ERR_RANGE;
    *out = whole;
    return 0;
}

int config_parse_size(uint64_t *out, const char *text)
{
    return quantity_parse(out, text, "");
}

int config_parse_peer(struct node_addr *out, const char *text)
{
    char id[NODE_ID_TEXT_SIZE + 1];
    const char *at = strchr(text, '@');
    if (!at || (size_t)(at - text) != NODE_ID_TEXT_SIZE)
        return ERR_MALFORMED;
    memcpy(id, text, NODE_ID_TEXT_SIZE);
    id[NODE_ID_TEXT_SIZE] = 0;
    int rc = node_id_parse(out->key, id);
    if (rc == 0)
        rc = net_addr_parse(&out->addr, at + 1);
    if (rc == 0 && (out->addr.port == 0 || net_addr_scope(&out->addr) == NET_SCOPE_INVALID))
        rc = ERR_MALFORMED;
    return rc;
}

static int peers_set(struct config *c, const char *value, char *message)
{
    char text[LINE_SIZE], *rest = text;
    struct node_addr peer;
    if (snprintf(text, sizeof text, "%s", value) >= (int)sizeof text) {
        snprintf(message, MESSAGE_MAX, "bootstrap is too long");
        return ERR_RANGE;
    }
    for (char *word; (word = strtok_r(rest, " \t,", &rest));) {
        int rc = config_parse_peer(&peer, word);
        if (rc) {
            snprintf(message, MESSAGE_MAX, "\"%.120s\" is not <node id>@<address>:<port>%s%s", word,
                     rc == ERR_MALFORMED ? "" : ": ", rc == ERR_MALFORMED ? "" : err_text(rc));
            return rc;
        }
        if (c->bootstrap_count == CONFIG_BOOTSTRAP_MAX) {
            snprintf(message, MESSAGE_MAX, "bootstrap names more than %d nodes", CONFIG_BOOTSTRAP_MAX);
            return ERR_RANGE;
        }
        snprintf(c->bootstrap[c->bootstrap_count++], sizeof c->bootstrap[0], "%s", word);
    }
    return 0;
}

static int listen_set(char out[64], const char *value, char *message)
{
    struct net_addr addr;
    if (*value && strcmp(value, "off") != 0 && net_addr_parse(&addr, value) != 0) {
        snprintf(message, MESSAGE_MAX, "\"%.120s\" is not an address with a port, like 127.0.0.1:7733 or [::]:7733, nor off", value);
        return ERR_MALFORMED;
    }
    snprintf(out, 64, "%s", value);
    return 0;
}

static int switch_set(bool *out, const char *value, char *message)
{
    if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0) {
        snprintf(message, MESSAGE_MAX, "\"%.120s\" is neither on nor off", value);
        return ERR_MALFORMED;
    }
    *out = strcmp(value, "on") == 0;
    return 0;
}

static int quantity_set(uint64_t *out, const char *value, enum value_kind kind, char *message)
{
    bool rate = kind == VALUE_RATE;
    uint64_t amount;
    int rc = quantity_parse(&amount, value, rate ? "/s" : "");
    if (rc == ERR_RANGE) {
        snprintf(message, MESSAGE_MAX, "\"%.120s\" is too large", value);
    } else if (rc) {
        snprintf(message, MESSAGE_MAX, "\"%.120s\" is not a %s: write a number with its unit, like %s", value,
                 rate ? "rate" : "size", rate ? "2MB/s or 512KiB/s" : "10GB or 512MiB");
    } else if (kind == VALUE_MEMORY && (amount < BUDGET_MIN || amount > SIZE_MAX / 4)) {
        snprintf(message, MESSAGE_MAX, "\"%.120s\" is too %s: memory is at least 1MiB", value, amount < BUDGET_MIN ? "small" : "large");
        rc = ERR_RANGE;
    } else {
        *out = amount;
    }
    return rc;
}

static int count_set(uint64_t *out, const char *value, char *message)
{
    uint64_t count = 0;
    const char *p = value;
    for (; isdigit((unsigned char)*p) && count <= COUNT_MAX; p++)
        count = count * 10 + (uint64_t)(*p - '0');
    if (p == value || *p || count > COUNT_MAX) {
        snprintf(message, MESSAGE_MAX, "\"%.120s\" is not a whole number from 0 to %d", value, COUNT_MAX);
        return ERR_MALFORMED;
    }
    *out = count;
    return 0;
}

static int level_set(int *out, const char *value, char *message)
{
    static const char *const names[] = {[LOG_ERROR] = "error", [LOG_WARNING] = "warning", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};
    for (int i = 0; i < 4; i++) {
        if (strcmp(value, names[i]) == 0) {
            *out = i;
            return 0;
        }
    }
    snprintf(message, MESSAGE_MAX, "\"%.120s\" is none of error, warning, info, debug", value);
    return ERR_MALFORMED;
}

/* "50000-50099" into two uint16_t beside each other. Empty: 0 and 0. */
static int ports_set(uint16_t out[2], const char *value, char *message)
{
    unsigned first, last;
    char rest;
    out[0] = out[1] = 0;
    if (!*value)
        return 0;
    if (sscanf(value, "%5u-%5u%c", &first, &last, &rest) != 2 || first < 1024 || last > 65535 || last < first) {
        snprintf(message, MESSAGE_MAX, "\"%.120s\" is not a range of ports from 1024 to 65535, like 50000-50099", value);
        return ERR_MALFORMED;
    }
    out[0] = (uint16_t)first;
    out[1] = (uint16_t)last;
    return 0;
}

/* An IPv4 address without a port; the port becomes 1. Empty: port 0. */
static int address_set(struct net_addr *out, const char *value, char *message)
{
    char text[64];
    memset(out, 0, sizeof *out);
    if (!*value)
        return 0;
    if (snprintf(text, sizeof text, "%s:1", value) < (int)sizeof text && net_addr_parse(out, text) == 0 && net_addr_is_v4(out))
        return 0;
    memset(out, 0, sizeof *out);
    snprintf(message, MESSAGE_MAX, "\"%.120s\" is not an IPv4 address, like 203.0.113.7", value);
    return ERR_MALFORMED;
}

/* "90s", "10min", "2h". Empty: 0. */
static int seconds_set(uint32_t *out, const char *value, char *message)
{
    static const struct {
        const char *unit;
        uint32_t seconds;
    } units[] = {{"s", 1}, {"min", 60}, {"h", 3600}};
    unsigned number = 0;
    int used = 0;
    *out = 0;
    if (!*value)
        return 0;
    if (sscanf(value, "%6u%n", &number, &used) == 1 && isdigit((unsigned char)*value) && number > 0) {
        for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
            if (strcmp(value + used, units[i].unit) == 0 && number <= 86400 / units[i].seconds) {
                *out = number * units[i].seconds;
                return 0;
            }
        }
    }
    snprintf(message, MESSAGE_MAX, "\"%.120s\" is not a time of at most 24 hours with its unit, like 90s, 10min or 2h", value);
    return ERR_MALFORMED;
}

static int visitors_set(int *out, const char *value, char *message)
{
    bool on = false;
    int rc = *value ? switch_set(&on, value, message) : 0;
    if (rc == 0)
        *out = !*value ? CONFIG_ANONYMOUS_LOCAL : on ? CONFIG_ANONYMOUS_ON : CONFIG_ANONYMOUS_OFF;
    return rc;
}

static int nickname_set(char out[NAME_SIZE], const char *value, char *message)
{
    const char *why;
    if (*value && name_check(value, &why) != 0) {
        snprintf(message, MESSAGE_MAX, "\"%.120s\" is not a nickname: %s", value, why);
        return ERR_MALFORMED;
    }
    snprintf(out, NAME_SIZE, "%s", value);
    return 0;
}

static int listed_set(int *out, const char *value, char *message)
{
    static const char *const names[] = {[CONFIG_LIST_PRIVATE] = "private", [CONFIG_LIST_ON] = "on", [CONFIG_LIST_OFF] = "off"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(value, names[i]) == 0) {
            *out = i;
            return 0;
        }
    }
    snprintf(message, MESSAGE_MAX, "\"%.120s\" is none of private, on, off", value);
    return ERR_MALFORMED;
}

static int value_set(struct config *c, const struct known *k, const char *value, char *message)
{
    void *field = (char *)c + k->offset;
    int rc;
    switch (k->kind) {
    case VALUE_LISTEN:
        rc = listen_set(field, value, message);
        if (rc == 0 && field == c->listen)
            c->listen_named = *value && strcmp(value, "off") != 0;
        return rc;
    case VALUE_SWITCH:
        return switch_set(field, value, message);
    case VALUE_SIZE:
    case VALUE_RATE:
    case VALUE_MEMORY:
        return quantity_set(field, value, k->kind, message);
    case VALUE_PEERS:
        return peers_set(c, value, message);
    case VALUE_LEVEL:
        return level_set(field, value, message);
    case VALUE_PORTS:
        return ports_set(field, value, message);
    case VALUE_ADDRESS:
        return address_set(field, value, message);
    case VALUE_SECONDS:
        return seconds_set(field, value, message);
    case VALUE_VISITORS:
        return visitors_set(field, value, message);
    case VALUE_NICKNAME:
        return nickname_set(field, value, message);
    case VALUE_LISTED:
        return listed_set(field, value, message);
    case VALUE_PATH:
        if (snprintf(field, sizeof c->log_file, "%s", value) < (int)sizeof c->log_file)
            return 0;
        snprintf(message, MESSAGE_MAX, "the path is too long");
        return ERR_RANGE;
    case VALUE_ZONES:
        if (snprintf(field, sizeof c->dns_zone, "%s", value) < (int)sizeof c->dns_zone)
            return 0;
        snprintf(message, MESSAGE_MAX, "the list is too long");
        return ERR_RANGE;
    case VALUE_COUNT:
        return count_set(field, value, message);
    case VALUE_K:
        if (count_set(field, value, message) == 0 && *(uint64_t *)field <= DHT_K_MAX)
            return 0;
        snprintf(message, MESSAGE_MAX, "`%.60s` is not a whole number from 1 to %d, or 0 for the default", value, DHT_K_MAX);
        return ERR_RANGE;
    }
    return ERR_UNSUPPORTED;
}

/* ---- names ---- */

/* Levenshtein distance; names above 31 characters count as far away. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[33];
    size_t n = strlen(b);
    if (strlen(a) > 32 || n > 32)
        return 100;
    for (unsigned j = 0; j <= n; j++)
        row[j] = j;
    for (unsigned i = 1; a[i - 1]; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            unsigned change = diagonal + (a[i - 1] != b[j - 1]);
            unsigned other = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = change < other ? change : other;
        }
    }
    return row[n];
}

/* Nearest by key and section together; a key that is right in the wrong section is near too. */
static const struct known *nearest(const char *section, const char *key)
{
    const struct known *best = NULL;
    unsigned best_distance = 100;
    for (size_t i = 0; i < KNOWN_COUNT; i++) {
        unsigned in_section = distance(section, known[i].section);
        unsigned d = distance(key, known[i].key) * 2 + (in_section < 3 ? in_section : 3);
        if (d < best_distance) {
            best_distance = d;
            best = &known[i];
        }
    }
    return best;
}

static int unknown(const char *section, const char *key, char *message)
{
    const struct known *k = nearest(section, key);
    snprintf(message, MESSAGE_MAX, "unknown name \"%.60s\" in [%.60s]; the nearest known one is \"%s\" in [%s]", key, section,
             k ? k->key : "?", k ? k->section : "?");
    return ERR_NOT_FOUND;
}

static const struct known *lookup(const char *section, const char *key)
{
    for (size_t i = 0; i < KNOWN_COUNT; i++) {
        if (strcmp(known[i].section, section) == 0 && strcmp(known[i].key, key) == 0)
            return &known[i];
    }
    return NULL;
}

int config_set(struct config *c, const char *section, const char *key, const char *value, char *message)
{
    char why[MESSAGE_MAX];
    const struct known *k = lookup(section, key);
    if (!k)
        return unknown(section, key, message);
    int rc = value_set(c, k, value, why);
    if (rc)
        snprintf(message, MESSAGE_MAX, "%s.%s: %.440s", section, key, why);
    return rc;
}

/* ---- the file ---- */

struct load {
    struct config *c;
    FILE *file;
    const char *path;
    int line, error, error_line;
    bool seen[KNOWN_COUNT];
    char why[MESSAGE_MAX];
};

static void load_fail(struct load *l, int error)
{
    l->error = error;
    l->error_line = l->line;
}

/* inih's reader, like fgets, counting lines. A line that does not fit is an error rather than two lines. */
static char *load_line(char *out, int size, void *context)
{
    struct load *l = context;
    if (l->error || !fgets(out, size, l->file))
        return NULL;
    l->line++;
    if (!strchr(out, '\n') && !feof(l->file)) {
        snprintf(l->why, sizeof l->why, "the line is longer than %d characters", size - 2);
        load_fail(l, ERR_MALFORMED);
        return NULL;
    }
    return out;
}

static int load_pair(void *context, const char *section, const char *key, const char *value)
{
    struct load *l = context;
    const struct known *k = lookup(section, key);
    if (l->error)
        return 0;
    if (!k) {
        load_fail(l, unknown(section, key, l->why));
        return 0;
    }
    if (l->seen[k - known] && k->kind != VALUE_PEERS) {
        snprintf(l->why, sizeof l->why, "\"%s\" is given twice", key);
        load_fail(l, ERR_MALFORMED);
        return 0;
    }
    l->seen[k - known] = true;
    char why[MESSAGE_MAX];
    int rc = value_set(l->c, k, value, why);
    if (rc) {
        snprintf(l->why, sizeof l->why, "%s: %.440s", key, why);
        load_fail(l, rc);
    }
    return rc == 0;
}

int config_load(struct config *c, char *message)
{
    char path[sizeof c->home + 16];
    struct load l = {.c = c, .path = path};
    snprintf(path, sizeof path, "%s/shoal.ini", c->home);
    l.file = fopen(path, "re");
    if (!l.file && (errno == ENOENT || errno == ENOTDIR))
        return 0;
    if (!l.file) {
        snprintf(message, MESSAGE_MAX, "cannot read %.300s: %s", path, strerror(errno));
        return errno == EACCES ? ERR_PERMISSION : ERR_IO;
    }
    ini_use_stack = false; /* Debian's inih takes these at run time; its default is 200 bytes a line */
    ini_initial_alloc = ini_max_line = LINE_SIZE;
    int line = ini_parse_stream(load_line, &l, load_pair, &l);
    if (line > 0 && (!l.error || line < l.error_line)) { /* inih goes on after a bad line: the first mistake counts */
        l.line = line;
        snprintf(l.why, sizeof l.why, "neither a [section], nor name = value, nor a comment (;)");
        load_fail(&l, ERR_MALFORMED);
    } else if (!l.error && (line < 0 || ferror(l.file))) {
        snprintf(l.why, sizeof l.why, "reading failed");
        load_fail(&l, line < 0 ? ERR_NO_MEMORY : ERR_IO);
    }
    fclose(l.file);
    if (l.error)
        snprintf(message, MESSAGE_MAX, "%.200s:%d: %.290s", path, l.error_line, l.why);
    return l.error;
}

/* ---- home ---- */

int config_home(char *out, size_t cap, const char *flag)
{
    const char *shoal = getenv("SHOAL_HOME"), *xdg = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    int n;
    if (flag && *flag) {
        n = snprintf(out, cap, "%s", flag);
    } else if (shoal && *shoal) {
        n = snprintf(out, cap, "%s", shoal);
    } else if (xdg && *xdg == '/') { /* relative ones are to be ignored (XDG base directories) */
        n = snprintf(out, cap, "%s/shoal", xdg);
    } else {
        if (!home || !*home) {
            struct passwd *user = getpwuid(getuid());
            home = user ? user->pw_dir : NULL;
        }
        if (!home || !*home)
            return ERR_NOT_FOUND;
        n = snprintf(out, cap, "%s/.local/share/shoal", home);
    }
    return n < 0 || (size_t)n >= cap ? ERR_RANGE : 0;
}

/* Configuration: home/shoal.ini (read by inih), then flags. Unknown keys are errors that name the nearest known key; sizes and times need units. */
#ifndef SHOAL_HOST_CONFIG_H
#define SHOAL_HOST_CONFIG_H
#include "node/base/addr.h"
#include "node/base/id.h"
#include "node/base/err.h"
#include "node/names/name_text.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_BOOTSTRAP_MAX 16

enum config_anonymous { CONFIG_ANONYMOUS_LOCAL, CONFIG_ANONYMOUS_ON, CONFIG_ANONYMOUS_OFF }; /* LOCAL: from this computer only */

enum config_list { CONFIG_LIST_PRIVATE, CONFIG_LIST_ON, CONFIG_LIST_OFF }; /* PRIVATE: in private networks */

struct config {
    char home[4096];
    char listen[64];            /* [node] listen = A:P | off; default 0.0.0.0:7733 and [::]:7733 (empty = default) */
    uint16_t listen_again;      /* no setting: the port this process had before the node started again, tried first when none is named; 0 = none */
    char nickname[NAME_SIZE];   /* [node] nickname: what this node calls itself; empty = what `shoal name me` said */
    int search_list;            /* [search] list = private | on | off: are shares listed for search? enum config_list */
    bool listen_named;          /* the user named the port: taken is an error */
    char http[64], ftp[64], dns[64]; /* A:P | off; empty = default */
    char dns_zone[256];         /* [dns] zone: suffixes of names, the first is the main one; empty = shoal.alt */
    char dns_zone_file[4096];   /* [dns] zone-file: master files, [origin=]path, space separated; empty = none */
    uint64_t dns_rate;          /* [dns] rate-limit: answers a second over UDP to one /24 or /56; 0 = no limit */
    char http_echo[64];         /* [http] echo = A:P: a test origin for conformance suites; empty = none */
    char http_names[256];       /* [http] names: host names this gateway answers to, besides addresses; space separated */
    uint32_t http_timeout_s;    /* [http] timeout = 30s: for content of other nodes; 0 = default */
    uint64_t gateway_connections, gateway_per_address; /* [gateways] connections, connections-per-address: of all gateways */
    uint16_t ftp_port_first, ftp_port_last; /* [ftp] ports = 50000-50099: of passive data connections; 0 = any */
    struct net_addr ftp_external;           /* [ftp] external = 203.0.113.7: told to peers from the internet by PASV; port 0 = none */
    uint32_t ftp_idle_s;                    /* [ftp] idle = 10min; 0 = the gateway's default */
    int ftp_anonymous;                      /* [ftp] anonymous = on | off; enum config_anonymous */
    char bootstrap[CONFIG_BOOTSTRAP_MAX][160]; /* [network] bootstrap = <node id>@<address:port>, space separated */
    uint32_t bootstrap_count;
    bool network_private;       /* [network] private = on: a first run makes a network of its own with a secret, not the open one */
    uint64_t dht_k;             /* [dht] k: contacts a bucket and holders a record, 1 to 32; 0 = the default */
    bool neighbours;            /* [network] neighbours = on | off: signed multicast */
    uint64_t upload_rate, download_rate; /* [transfer] upload = 2MB/s; 0 = no cap */
    uint64_t quota;             /* [store] quota = 10GB, 0 = none */
    uint64_t budget;            /* [transfer] memory = 24MiB: payload buffers */
    int log_level;              /* [log] level */
    char log_file[4096];
};
void config_default(struct config *c);
/* Reads home/shoal.ini when it exists. message: 512 bytes, names file, line and nearest key. */
int config_load(struct config *c, char *message);
int config_set(struct config *c, const char *section, const char *key, const char *value, char *message); /* for flags: --set section.key=value */
int config_parse_size(uint64_t *out, const char *text);      /* 10MB, 4GiB, 512KiB; a bare number is refused but for 0 */
/* <node id>@<address:port>, numeric. ERR_MALFORMED, ERR_CHECKSUM. */
int config_parse_peer(struct node_addr *out, const char *text);
/* --home, SHOAL_HOME, XDG_DATA_HOME/shoal, ~/.local/share/shoal */
int config_home(char *out, size_t cap, const char *flag);
#endif

/* Copies of the sites of contacts: home/sites/<node id>/<first characters of the site's id>, fetched when the owner publishes, shared on, the one before
 * taken back. So a site is there while its owner sleeps. */
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "node/host/log.h"
#include "node/host/names_int.h"

#define FETCH_AGAIN CORE_SECONDS(30)

static void site_path(const struct names *n, const struct contact *c, const struct content_id *id, char out[PATH_MAX])
{
    char node[NODE_ID_TEXT_SIZE + 1], text[CONTENT_ID_TEXT_SIZE + 1];
    node_id_format(node, c->key);
    content_id_format(text, id);
    snprintf(out, PATH_MAX, "%.3800s/sites/%s/%.16s", n->app->home.path, node, text);
}

static bool folder_make(const struct names *n, const struct contact *c)
{
    char node[NODE_ID_TEXT_SIZE + 1], path[PATH_MAX];
    node_id_format(node, c->key);
    snprintf(path, sizeof path, "%.3800s/sites", n->app->home.path);
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return false;
    snprintf(path, sizeof path, "%.3800s/sites/%s", n->app->home.path, node);
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

/* A copy that nobody needs any more. */
static void copy_drop(struct names *n, const struct contact *c, const struct content_id *id)
{
    char path[PATH_MAX];
    if (id->size == 0)
        return;
    site_path(n, c, id, path);
    (void)shares_remove(n->app->shares, path);
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT); /* below the home, of our own making */
}

static void fetch(struct names *n, struct contact *c, const struct name_info *info)
{
    char path[PATH_MAX];
    struct store_share share;
    struct fetch_params p = {.output = path, .replace = true};
    c->try_at = host_now(&n->app->core) + FETCH_AGAIN;
    site_path(n, c, &info->profile.site, path);
    if (store_share_by_path(n->app->store, path, &share) == 0 && content_id_equal(&share.id, &info->profile.site)) {
        c->kept = info->profile.site; /* from before a restart */
        return;
    }
    names_site_link(info, &p.link);
    struct job *job = folder_make(n, c) ? fetches_get(n->app->fetches, &p) : NULL;
    if (!job) {
        log_warning("names", "cannot begin to fetch a site into %s", path);
        return;
    }
    c->job = job->id;
    c->fetching = info->profile.site;
}

static void fetch_check(struct names *n, struct contact *c)
{
    const struct job *job = jobs_find(n->app->jobs, c->job);
    if (job && job->state == JOB_RUNNING)
        return;
    c->job = 0;
    if (!job || job->state == JOB_FAILED) {
        log_info("names", "a site could not be fetched yet: %s", job ? job->message : "");
        return;
    }
    if (!content_id_equal(&c->kept, &c->fetching))
        copy_drop(n, c, &c->kept);
    c->kept = c->fetching;
}

void names_sites_tick(struct names *n, core_time now)
{
    struct contact *c, *next;
    struct name_info info;
    HASH_ITER(hh, n->contacts, c, next)
    {
        if (!c->site)
            continue;
        if (c->job)
            fetch_check(n, c);
        names_info(n, c->key, NAME_HOW_ID, &info);
        if (c->job || !info.has_profile || !info.profile.has_site || content_id_equal(&c->kept, &info.profile.site))
            continue;
        if (now >= c->try_at || (c->fetching.size && !content_id_equal(&c->fetching, &info.profile.site)))
            fetch(n, c, &info);
    }
}

bool names_site_kept(const struct names *n, const uint8_t node[NODE_KEY_SIZE])
{
    const struct contact *c = names_contact(n, node);
    return c && c->site;
}

int names_keep_site(struct names *n, const uint8_t node[NODE_KEY_SIZE], bool keep, char *message)
{
    struct contact *c = names_contact(n, node);
    int status = c ? 0 : ERR_NOT_FOUND;
    if (c) {
        bool before = c->site;
        c->site = keep;
        status = names_contact_save(n, c, true);
        c->site = status == 0 ? keep : before;
    }
    if (status != 0) {
        if (message)
            snprintf(message, NAMES_MESSAGE_MAX, "%s", c ? err_text(status) : "only the site of a contact is kept: `shoal name add` it first");
        return status;
    }
    c->try_at = 0;
    if (keep) {
        names_sites_tick(n, host_now(&n->app->core));
    } else if (c->kept.size) {
        copy_drop(n, c, &c->kept);
        memset(&c->kept, 0, sizeof c->kept);
    }
    if (message)
        message[0] = 0;
    return 0;
}

/* Every command: what it takes, what it says of itself, what runs it. The man page and the completion are
 * held to this table by tests. */
#include "cli/cli.h"

#define QUIET                                                                                                \
    {                                                                                                        \
        "quiet", 'q', NULL, "no progress"                                                                    \
    }

const struct command cli_commands[] = {
    {
        .name = "up",
        .arguments = "",
        .summary = "run the node here, in the foreground",
        .about =
            "Runs the node of this home until Ctrl-C or `shoal down`. The first run makes its key and its\n"
            "home, and prints an invite for others. Settings come from shoal.ini in the home, then from "
            "options.",
        .examples = "shoal up\nshoal up --listen 0.0.0.0:7733 --set transfer.upload=2MB/s",
        .options =
            {
                {"listen", 'l', "ADDRESS:PORT",
                 "where other nodes reach this one, TCP and UDP; `off` takes no connections"},
                {"http", 0, "ADDRESS:PORT", "the browser's and the scripts' way in (127.0.0.1:8733, or a free port); `off`"},
                {"ftp", 0, "ADDRESS:PORT", "for FTP clients (127.0.0.1:8021, or a free port); `off`"},
                {"dns", 0, "ADDRESS:PORT", "answers for names under shoal.alt (127.0.0.1:8753, or a free port); `off`"},
                {"private", 0, NULL, "on the first run: a network of its own that only an invite opens"},
                {"set", 's', "SECTION.KEY=VALUE", "any setting of shoal.ini; may be repeated"},
                {"verbose", 'v', NULL, "log everything"},
                {"quiet", 'q', NULL, "log warnings and errors only"},
            },
        .run = cmd_up,
    },
    {
        .name = "down",
        .arguments = "",
        .summary = "stop the node and wait until it has ended",
        .about = "Tells the node of this home to stop: it saves and syncs what is under way, closes "
                 "its\nconnections and ends. Fetches go on at the next `shoal up`.",
        .run = cmd_down,
    },
    {
        .name = "status",
        .arguments = "",
        .summary = "how the node is: reachable or not and why, peers, rates, storage",
        .about = "Says what the node knows about itself, and above all whether others can open connections "
                 "to\nit and, when they cannot, why not.",
        .json = true,
        .run = cmd_status,
    },
    {
        .name = "peers",
        .arguments = "",
        .summary = "the nodes this one is connected to, and those it knows",
        .about = "Lists connections with what went over them, and how many more nodes are known.",
        .json = true,
        .options = {{"all", 'a', NULL, "list the known nodes too"}},
        .run = cmd_peers,
    },
    {
        .name = "invite",
        .arguments = "",
        .summary = "print the line that lets others join this network",
        .about =
            "Prints one line; on a terminal also as a QR code. An invite to a private network is a key to\n"
            "it and cannot be unsent: `shoal network rotate` makes all earlier ones worthless.",
        .examples = "shoal invite | ssh other shoal join -",
        .json = true,
        .run = cmd_invite,
    },
    {
        .name = "join",
        .arguments = "INVITE",
        .arguments_min = 1,
        .arguments_max = 1,
        .summary = "join the network of an invite",
        .about =
            "Works with or without a running node. One home belongs to one network: a home that shares or\n"
            "fetches in another one already refuses, and a new one is named with --home. INVITE may be -, "
            "to\nread it from standard input.",
        .examples = "shoal join shoal-invite:...\nshoal --home ~/shoal-school join shoal-invite:...",
        .json = true,
        .run = cmd_join,
    },
    {
        .name = "network rotate",
        .arguments = "",
        .summary = "give a private network a new secret",
        .about = "Makes a new secret and hands it to all members that can be reached. Earlier invites and "
                 "members\n"
                 "that were not reached are locked out; those need a new invite.",
        .json = true,
        .run = cmd_rotate,
    },
    {
        .name = "share",
        .arguments = "PATH...",
        .arguments_min = 1,
        .arguments_max = -1,
        .summary = "share files and folders, and print their links",
        .about = "Files stay where they are and are read from there; nothing is copied. One link for each "
                 "PATH goes\n"
                 "to standard output, and on how many nodes its record is stored to standard error. Symbolic "
                 "links,\n"
                 "sockets and devices inside folders are skipped and named. Without a running node the share "
                 "is\nnoted, and `shoal up` serves it.",
        .examples = "shoal share holiday.mp4\nshoal share ~/music ~/books",
        .json = true,
        .options = {{"times", 't', NULL,
                     "keep modification times (two owners of one tree then get different links)"},
                    {"list", 0, NULL, "others find its name by searching (in a private network they do anyway)"},
                    {"no-list", 0, NULL, "others do not find it by searching"},
                    QUIET},
        .run = cmd_share,
    },
    {
        .name = "unshare",
        .arguments = "PATH|LINK...",
        .arguments_min = 1,
        .arguments_max = -1,
        .summary = "stop sharing",
        .about = "Stops serving and announcing. The files themselves are not touched. Who fetched them keeps "
                 "them.",
        .examples = "shoal unshare ~/music",
        .run = cmd_unshare,
    },
    {
        .name = "get",
        .arguments = "LINK|NAME/PATH",
        .arguments_min = 1,
        .arguments_max = 1,
        .summary = "fetch a file or a folder by its link",
        .about =
            "Fetches from every node that has it, at once, and verifies every byte. Without -o it goes to "
            "the\n"
            "current folder under the name in the link. Until it is complete it grows beside its name with\n"
            ".part at the end; after Ctrl-C or a crash the same command goes on from there. The path goes "
            "to\n"
            "standard output. Works without a running node, too. Instead of a link: a .torrent file of version "
            "2\n"
            "(or hybrid), or a magnet link of one that was made by Shoal.",
        .examples = "shoal get 'shoal:...' -o ~/videos/\nshoal get 'shoal:...' --select chapter1 --select "
                    "notes/a.txt",
        .json = true,
        .options =
            {
                {"output", 'o', "PATH",
                 "where to: a folder that exists (the name is kept), or the new name itself; a slash at the "
                 "end makes the folder"},
                {"select", 's', "PATH",
                 "of a folder only this file, or this folder with all in it; may be repeated (`shoal ls "
                 "LINK` shows the paths)"},
                {"replace", 0, NULL, "replace what is there under this name"},
                {"no-share", 0, NULL, "do not share it on when it is complete"},
                {"timeout", 0, "TIME",
                 "give up when nothing arrives for this long: 30s, 10m, 2h (default 10m; 0: never)"},
                QUIET,
            },
        .run = cmd_get,
    },
    {
        .name = "ls",
        .arguments = "[LINK|NAME/PATH [PATH]]",
        .arguments_max = 2,
        .summary = "list what is shared here, or what a link holds",
        .about = "Without LINK: the shares of this home. With LINK: the names and sizes in that folder, or "
                 "in PATH\n"
                 "below it, without fetching any file. In a pipe: lines of columns separated by tabs "
                 "(shares: link,\n"
                 "size, state, path; entries: id, size, path).",
        .json = true,
        .options = {{"recursive", 'r', NULL, "folders with all that is in them"}},
        .run = cmd_ls,
    },
    {
        .name = "find",
        .arguments = "LINK|NAME/PATH",
        .arguments_min = 1,
        .arguments_max = 1,
        .summary = "ask another node whether it finds who has this",
        .about = "Asks a node that is neither this one nor known to have it to look, so that you know that "
                 "others\ncan find what you share.",
        .json = true,
        .run = cmd_find,
    },
    {
        .name = "search",
        .arguments = "WORD...",
        .arguments_min = 1,
        .arguments_max = -1,
        .summary = "find by words what nodes list, and what is shared here",
        .about = "All words must be in the name. Each node that the network's index names is asked itself; what most\n"
                 "nodes have comes first. A node of a private network lists what it shares; in the open network\n"
                 "only what was shared with --list is found. In a pipe: link, size, nodes, name, separated by tabs.",
        .examples = "shoal search holiday 2024\nshoal get \"$(shoal search ubuntu | head -n1 | cut -f1)\"",
        .json = true,
        .options = {{"here", 0, NULL, "only in what is shared here"}},
        .run = cmd_search,
    },
    {
        .name = "name list",
        .arguments = "",
        .summary = "your contacts",
        .about = "In a pipe: your name, its nickname, node id and site's id, separated by tabs.",
        .json = true,
        .run = cmd_name_list,
    },
    {
        .name = "name show",
        .arguments = "NAME|ID",
        .arguments_min = 1,
        .arguments_max = 1,
        .summary = "who a name is, or which nodes claim it",
        .about = "A name you gave always wins. A nickname is only a claim: anybody may call himself alice. Nodes that\n"
                 "claim it are shown with their ids; make the right one a contact with `shoal name add`.",
        .json = true,
        .run = cmd_name_show,
    },
    {
        .name = "name add",
        .arguments = "[NAME] ID|LINK",
        .arguments_min = 1,
        .arguments_max = 2,
        .summary = "make a node a contact, under a name of your own",
        .about = "Without NAME the node goes by the nickname it gives itself. A contact's name works in `get`, `ls` and\n"
                 "`find` (NAME/path), as http://NAME.shoal.localhost:PORT/, and through the DNS gateway.",
        .examples = "shoal name add alice abcd...  (56 characters)\nshoal ls alice\nshoal get alice/photos/cat.jpg",
        .json = true,
        .run = cmd_name_add,
    },
    {
        .name = "name remove",
        .arguments = "NAME|ID",
        .arguments_min = 1,
        .arguments_max = 1,
        .summary = "forget a contact",
        .about = "Its node id works as before.",
        .run = cmd_name_remove,
    },
    {
        .name = "name me",
        .arguments = "[NICKNAME]",
        .arguments_max = 1,
        .summary = "what this node calls itself",
        .about = "Tells the network a nickname for this node; `-` takes it back. Without NICKNAME: what is told of this\n"
                 "node now, and its id, for others to add.",
        .json = true,
        .run = cmd_name_me,
    },
    {
        .name = "site publish",
        .arguments = "DIR",
        .arguments_min = 1,
        .arguments_max = 1,
        .summary = "make a folder this node's web site",
        .about = "Shares the folder and tells the network that it is this node's site, at once. Again after a change:\n"
                 "those who look at it see the new one within seconds. index.html is its first page.",
        .examples = "shoal name me alice\nshoal site publish ~/site",
        .json = true,
        .options = {QUIET},
        .run = cmd_site_publish,
    },
    {
        .name = "site unpublish",
        .arguments = "",
        .summary = "this node has no site any more",
        .about = "The folder stays shared; `shoal unshare` ends that.",
        .run = cmd_site_unpublish,
    },
    {
        .name = "site status",
        .arguments = "",
        .summary = "this node's site, and how many nodes know of it",
        .about = "Prints its address on this computer.",
        .json = true,
        .run = cmd_site_status,
    },
    {
        .name = "site keep",
        .arguments = "NAME|ID",
        .arguments_min = 1,
        .arguments_max = 1,
        .summary = "keep a copy of a contact's site here, and share it on",
        .about = "It follows what the owner publishes, and others can read it while the owner's node is off.",
        .run = cmd_site_keep,
    },
    {
        .name = "site drop",
        .arguments = "NAME|ID",
        .arguments_min = 1,
        .arguments_max = 1,
        .summary = "keep no copy of this contact's site any more",
        .about = "The copy is removed from the home.",
        .run = cmd_site_keep,
    },
    {
        .name = "pin",
        .arguments = "[LINK...]",
        .arguments_max = -1,
        .summary = "keep something from gc; without LINK, list what is kept",
        .about = "What is pinned stays in the home's storage when `shoal gc` tidies up.",
        .json = true,
        .run = cmd_pin,
    },
    {
        .name = "unpin",
        .arguments = "LINK...",
        .arguments_min = 1,
        .arguments_max = -1,
        .summary = "take a pin away",
        .about = "The next `shoal gc` may free it.",
        .run = cmd_unpin,
    },
    {
        .name = "gc",
        .arguments = "",
        .summary = "free what no share, fetch or pin needs",
        .about = "Removes folder listings and hash trees from the home's storage that nothing refers to any "
                 "more.\nShared files are never touched.",
        .json = true,
        .options = {{"dry-run", 'n', NULL, "only list what would be freed"}},
        .run = cmd_gc,
    },
    {
        .name = "open",
        .arguments = "",
        .summary = "open the node's pages in a browser, signed in",
        .about = "Prints an address that signs one browser in as the owner, once; on a desktop it is opened, too. Other\n"
                 "people on this computer see what is shared, but do not control the node.",
        .examples = "shoal open\nshoal open --print",
        .json = true,
        .options = {{"print", 'p', NULL, "only print the address"}},
        .run = cmd_open,
    },
    {
        .name = "account add",
        .arguments = "NAME",
        .arguments_min = 1,
        .arguments_max = 1,
        .summary = "let somebody sign in from elsewhere, and keep files in /home/NAME",
        .about = "Asks for the password twice, or takes the first line of standard input. NAME has letters, digits,\n"
                 "'.', '_' and '-'. Listening beyond this computer (--http, --ftp) takes at least one account.",
        .examples = "shoal account add anna\npass show shoal/anna | shoal account add anna",
        .json = true,
        .options = {{"owner", 'o', NULL, "it controls this node, too"}},
        .run = cmd_account_add,
    },
    {
        .name = "account list",
        .arguments = "",
        .summary = "the accounts, what they may do, and when they last signed in",
        .about = "In a pipe: name, privilege and last sign-in, separated by tabs.",
        .json = true,
        .run = cmd_account_list,
    },
    {
        .name = "account password",
        .arguments = "NAME",
        .arguments_min = 1,
        .arguments_max = 1,
        .summary = "change an account's password",
        .about = "Asked for twice, or the first line of standard input. Browsers that are signed in with this\n"
                 "account must sign in again; its tokens stay.",
        .json = true,
        .run = cmd_account_password,
    },
    {
        .name = "account remove",
        .arguments = "NAME",
        .arguments_min = 1,
        .arguments_max = 1,
        .summary = "remove an account",
        .about = "Ends its connections, sign-ins and tokens. Its files stay where they are.",
        .json = true,
        .run = cmd_account_remove,
    },
    {
        .name = "account token",
        .arguments = "NAME",
        .arguments_min = 1,
        .arguments_max = 1,
        .summary = "make a token for a script, and print it",
        .about = "The script sends it as `Authorization: Bearer TOKEN` and may do what the account may.",
        .examples = "curl -H \"Authorization: Bearer $(shoal account token anna -l backup)\" http://127.0.0.1:8733/api/status",
        .json = true,
        .options = {{"label", 'l', "TEXT", "what it is for, shown in lists"}},
        .run = cmd_account_token,
    },
    {
        .name = "account logins",
        .arguments = "[NAME]",
        .arguments_max = 1,
        .summary = "which browsers are signed in, and which tokens there are",
        .about = "One a line: number, account, browser or token, label, last use.",
        .json = true,
        .run = cmd_account_logins,
    },
    {
        .name = "account revoke",
        .arguments = "NUMBER",
        .arguments_min = 1,
        .arguments_max = 1,
        .summary = "end a browser's sign-in, or a token",
        .about = "NUMBER is from `shoal account logins`.",
        .json = true,
        .run = cmd_account_revoke,
    },
    {
        .name = "help",
        .arguments = "[COMMAND]",
        .arguments_max = 2,
        .summary = "how to use shoal, or one of its commands",
        .about = "Without COMMAND: all commands.",
        .run = cmd_help,
    },
    {
        .name = "version",
        .arguments = "",
        .summary = "print the version",
        .about = "Prints the version.",
        .run = cmd_version,
    },
};
const size_t cli_command_count = sizeof cli_commands / sizeof cli_commands[0];

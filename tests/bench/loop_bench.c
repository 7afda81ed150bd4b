/* The yardstick of the transfer bar: the least that any program must do to move a file between two hosts with
 * every byte encrypted and every leaf hashed. Sender: pread, seal, send. Receiver: receive, open, SHA-256 of
 * each 16 KiB leaf, pwrite, fdatasync at the end. One thread a side, one TCP connection over loopback, frames
 * of at most 65,535 bytes.
 *
 *     loop_bench --size 1GiB --src FILE --dst FILE [--clear] [--no-sync]
 *
 * --src is made with pseudo-random bytes when it is shorter than --size. Prints one line: MB/s from before
 * the first pread to after the fdatasync. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <time.h>
#include <unistd.h>

#define FRAME_MAX 65535u
#define TAG       16u
#define LEAF      16384u
#define PLAIN     (3u * LEAF) /* whole leaves in a frame, as the node sends them */

struct side {
    const char *path;
    uint64_t size;
    int socket;
    bool clear, sync;
    uint8_t last[32]; /* so that no hash is optimised away */
};

_Noreturn static void die(const char *what)
{
    perror(what);
    exit(1);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void send_all(int fd, const uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t w = send(fd, p, n, MSG_NOSIGNAL);
        if (w < 0)
            die("send");
        p += w;
        n -= (size_t)w;
    }
}

static void receive_all(int fd, uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t r = recv(fd, p, n, MSG_WAITALL);
        if (r <= 0)
            die("recv");
        p += r;
        n -= (size_t)r;
    }
}

static EVP_CIPHER_CTX *cipher(bool seal)
{
    static const uint8_t key[32] = {1, 2, 3};
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    if (c == NULL || EVP_CipherInit_ex(c, EVP_chacha20_poly1305(), NULL, key, NULL, seal) != 1)
        die("cipher");
    return c;
}

static void nonce_set(EVP_CIPHER_CTX *c, uint64_t counter, bool seal)
{
    uint8_t nonce[12] = {0};
    memcpy(nonce + 4, &counter, 8);
    if (EVP_CipherInit_ex(c, NULL, NULL, NULL, nonce, seal) != 1)
        die("nonce");
}

static void *sender(void *argument)
{
    struct side *s = argument;
    int fd = open(s->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        die(s->path);
    uint8_t *buffer = malloc(FRAME_MAX + 2);
    EVP_CIPHER_CTX *c = cipher(true);
    uint64_t counter = 0;
    for (uint64_t at = 0; at < s->size;) {
        size_t n = s->size - at < PLAIN ? (size_t)(s->size - at) : PLAIN;
        if (pread(fd, buffer + 2, n, (off_t)at) != (ssize_t)n)
            die("pread");
        size_t sealed = n + TAG;
        if (!s->clear) {
            int out = 0;
            nonce_set(c, counter++, true);
            if (EVP_EncryptUpdate(c, buffer + 2, &out, buffer + 2, (int)n) != 1 ||
                EVP_EncryptFinal_ex(c, buffer + 2 + n, &out) != 1 ||
                EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG, buffer + 2 + n) != 1)
                die("seal");
        }
        buffer[0] = (uint8_t)(sealed >> 8);
        buffer[1] = (uint8_t)sealed;
        send_all(s->socket, buffer, sealed + 2);
        at += n;
    }
    EVP_CIPHER_CTX_free(c);
    free(buffer);
    close(fd);
    return NULL;
}

static void *receiver(void *argument)
{
    struct side *s = argument;
    int fd = open(s->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        die(s->path);
    uint8_t *buffer = malloc(FRAME_MAX + 2);
    EVP_CIPHER_CTX *c = cipher(false);
    uint64_t counter = 0;
    for (uint64_t at = 0; at < s->size;) {
        uint8_t head[2];
        receive_all(s->socket, head, 2);
        size_t n = (size_t)head[0] << 8 | head[1];
        receive_all(s->socket, buffer, n);
        n -= TAG;
        if (!s->clear) {
            int out = 0;
            nonce_set(c, counter++, false);
            if (EVP_DecryptUpdate(c, buffer, &out, buffer, (int)n) != 1 ||
                EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, TAG, buffer + n) != 1 ||
                EVP_DecryptFinal_ex(c, buffer + n, &out) != 1)
                die("open");
        }
        for (size_t leaf = 0; leaf < n; leaf += LEAF)
            SHA256(buffer + leaf, n - leaf < LEAF ? n - leaf : LEAF, s->last);
        if (pwrite(fd, buffer, n, (off_t)at) != (ssize_t)n)
            die("pwrite");
        at += n;
    }
    if (s->sync && fdatasync(fd) != 0)
        die("fdatasync");
    EVP_CIPHER_CTX_free(c);
    free(buffer);
    close(fd);
    return NULL;
}

static void source_make(const char *path, uint64_t size)
{
    struct stat st;
    if (stat(path, &st) == 0 && (uint64_t)st.st_size >= size)
        return;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        die(path);
    static uint64_t block[1 << 17];
    uint64_t x = 88172645463325252u;
    for (uint64_t at = 0; at < size; at += sizeof block) {
        for (size_t i = 0; i < sizeof block / sizeof *block; i++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            block[i] = x;
        }
        size_t n = size - at < sizeof block ? (size_t)(size - at) : sizeof block;
        if (write(fd, block, n) != (ssize_t)n)
            die(path);
    }
    if (fsync(fd) != 0)
        die("fsync");
    close(fd);
}

static uint64_t size_parse(const char *text)
{
    char *end;
    uint64_t n = strtoull(text, &end, 10);
    if (strcmp(end, "GiB") == 0)
        return n << 30;
    if (strcmp(end, "MiB") == 0)
        return n << 20;
    if (strcmp(end, "KiB") == 0)
        return n << 10;
    if (*end != '\0' || n == 0) {
        fprintf(stderr, "loop_bench: %s is no size (64MiB, 1GiB, bytes)\n", text);
        exit(2);
    }
    return n;
}

static void connect_pair(int *from, int *to)
{
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    if (listener < 0 || bind(listener, (struct sockaddr *)&a, sizeof a) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&a, &n) != 0)
        die("listen");
    *from = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*from < 0 || connect(*from, (struct sockaddr *)&a, sizeof a) != 0)
        die("connect");
    *to = accept(listener, NULL, NULL);
    if (*to < 0)
        die("accept");
    int one = 1;
    setsockopt(*from, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    close(listener);
}

int main(int argc, char **argv)
{
    uint64_t size = UINT64_C(1) << 30;
    const char *src = NULL, *dst = NULL;
    bool clear = false, sync_end = true;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--clear") == 0)
            clear = true;
        else if (strcmp(argv[i], "--no-sync") == 0)
            sync_end = false;
        else if (i + 1 < argc && strcmp(argv[i], "--size") == 0)
            size = size_parse(argv[++i]);
        else if (i + 1 < argc && strcmp(argv[i], "--src") == 0)
            src = argv[++i];
        else if (i + 1 < argc && strcmp(argv[i], "--dst") == 0)
            dst = argv[++i];
        else {
            fprintf(stderr, "usage: loop_bench --src FILE --dst FILE [--size 1GiB] [--clear] [--no-sync]\n");
            return 2;
        }
    }
    if (src == NULL || dst == NULL) {
        fprintf(stderr, "loop_bench: --src and --dst are needed\n");
        return 2;
    }
    source_make(src, size);
    unlink(dst);
    struct side a = {.path = src, .size = size, .clear = clear},
                b = {.path = dst, .size = size, .clear = clear, .sync = sync_end};
    connect_pair(&a.socket, &b.socket);
    pthread_t threads[2];
    double start = seconds();
    if (pthread_create(&threads[0], NULL, receiver, &b) != 0 ||
        pthread_create(&threads[1], NULL, sender, &a) != 0)
        die("thread");
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    double took = seconds() - start;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("loop %s %s: %.0f MB/s (%.3f s for %llu bytes; cpu %.2f s user %.2f s system)\n",
           clear ? "clear" : "sealed", sync_end ? "synced" : "unsynced", (double)size / took / 1e6, took,
           (unsigned long long)size, (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6,
           (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6);
    return 0;
}

/* Runs a fuzz target without libFuzzer: every corpus file as it is, then seeded mutations of the corpus and random inputs, the same ones
 * on every run, so that ./check exercises each decoder for a second or two. Long runs: the fuzz preset. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX  (64 * 1024)
#define CORPUS_MAX 512

static uint64_t state = 0x5ea51de;
static uint32_t draw(uint32_t bound)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % bound;
}

struct input {
    uint8_t *data;
    size_t size;
};
static struct input corpus[CORPUS_MAX];
static size_t corpus_count;

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void load(const char *folder)
{
    struct dirent **names;
    int n = scandir(folder, &names, NULL, by_name);
    for (int i = 0; i < n; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
        FILE *f = names[i]->d_name[0] == '.' || corpus_count == CORPUS_MAX ? NULL : fopen(path, "rb");
        if (f) {
            uint8_t *data = malloc(INPUT_MAX);
            corpus[corpus_count].size = fread(data, 1, INPUT_MAX, f);
            corpus[corpus_count++].data = data;
            fclose(f);
        }
        free(names[i]);
    }
    if (n >= 0)
        free(names);
}

/* Exact-size heap copies, so that ASan sees a read one byte past the end. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (size)
        memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static size_t mutate(uint8_t *out)
{
    size_t size = 0;
    if (corpus_count && draw(8)) {
        struct input *in = &corpus[draw((uint32_t)corpus_count)];
        memcpy(out, in->data, in->size);
        size = in->size;
    } else {
        size = draw(256);
        for (size_t i = 0; i < size; i++)
            out[i] = (uint8_t)draw(256);
    }
    for (uint32_t i = 0, n = 1 + draw(6); i < n && size; i++) {
        uint32_t at = draw((uint32_t)size);
        switch (draw(5)) {
        case 0:
            out[at] = (uint8_t)draw(256);
            break;
        case 1:
            out[at] ^= (uint8_t)(1u << draw(8));
            break;
        case 2:
            size = at;
            break;
        case 3:
            out[at] = "\x00\x7f\x80\xff\xc4\xdd\xdf\xcb"[draw(8)];
            break;
        default:
            if (size < INPUT_MAX) {
                memmove(out + at + 1, out + at, size - at);
                size++;
            }
        }
    }
    return size;
}

int main(int argc, char **argv)
{
    static uint8_t buffer[INPUT_MAX];
    double seconds = getenv("FUZZ_SECONDS") ? atof(getenv("FUZZ_SECONDS")) : 2.0;
    if (argc > 1)
        load(argv[1]);
    for (size_t i = 0; i < corpus_count; i++)
        run(corpus[i].data, corpus[i].size);
    clock_t end = clock() + (clock_t)(seconds * CLOCKS_PER_SEC);
    unsigned long runs = 0;
    while (clock() < end && runs < 200000) {
        size_t size = mutate(buffer);
        run(buffer, size);
        runs++;
    }
    printf("%zu corpus files, %lu mutations\n", corpus_count, runs);
    for (size_t i = 0; i < corpus_count; i++)
        free(corpus[i].data);
    return 0;
}

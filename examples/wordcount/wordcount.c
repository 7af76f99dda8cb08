/* Counts lines, words and bytes of its input, as a small program to build where no other source can be had. */
#include <ctype.h>
#include <stdio.h>

struct counts {
    unsigned long lines, words, bytes;
};

static struct counts count(FILE *in)
{
    struct counts total = {0, 0, 0};
    int inside = 0;
    for (int c = getc(in); c != EOF; c = getc(in)) {
        total.bytes++;
        if (c == '\n')
            total.lines++;
        if (isspace(c)) {
            inside = 0;
        } else if (!inside) {
            inside = 1;
            total.words++;
        }
    }
    return total;
}

int main(int argc, char **argv)
{
    int failed = 0;
    if (argc < 2) {
        struct counts total = count(stdin);
        printf("%lu %lu %lu\n", total.lines, total.words, total.bytes);
        return ferror(stdin) ? 1 : 0;
    }
    for (int i = 1; i < argc; i++) {
        FILE *in = fopen(argv[i], "rb");
        if (in == NULL) {
            perror(argv[i]);
            failed = 1;
            continue;
        }
        struct counts total = count(in);
        printf("%lu %lu %lu %s\n", total.lines, total.words, total.bytes, argv[i]);
        failed |= ferror(in) ? 1 : 0;
        fclose(in);
    }
    return failed;
}

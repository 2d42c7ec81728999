/* What the parts of the probe share: see main.c. */
#pragma once
#define _GNU_SOURCE
#include <stddef.h>
#include <sys/types.h>

enum { MAX_WORDS = 12, MAX_TEXT = 1 << 20 };

/* A command is its words; the first is its name. `rest` is all after the second word, as it was written. */
struct command {
  const char *text;
  int count;
  char *words[MAX_WORDS];
  const char *rest;
};

struct action {
  const char *name;
  /* Of words that it needs, its own name included. */
  int words;
  /* Prints its result as one JSON value. */
  void (*run)(const struct command *);
};

/* The tables of look.c (what a process can see of itself) and try.c (what it can do), each ended by an empty name. */
extern const struct action looks[], tries[];

extern int program_argc;
extern char **program_argv;

void print_string(const char *bytes, size_t length);
void print_text(const char *text);
/* The name of an errno: what every action that fails prints. */
void print_error(int error);
/* "ok", or the name of errno where `result` is negative. */
void print_outcome(long result);
/* Runs commands that are separated by '|', and prints what came out as one JSON object. */
void run_list(const char *list);
/* Reads a file to its end, up to MAX_TEXT. Gives the length, -1 with errno. The text is static. */
ssize_t read_file(const char *path, char **text);
const char *error_name(int error);

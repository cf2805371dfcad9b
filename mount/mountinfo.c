#include "mountinfo.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#define FIELDS_BEFORE 6 /* id, parent, device, root, target, options; then optional ones up to "-" */

/* The kernel writes space, tab, newline and backslash as three octal digits. */
static char *
unescape(const char *text)
{
	char *copy = strdup(text);
	char *to = copy;

	if (copy == NULL)
		return NULL;
	for (const char *p = text; *p != '\0';) {
		if (p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' && p[2] <= '7' && p[3] >= '0' &&
		    p[3] <= '7') {
			*to++ = (char)((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0'));
			p += 4;
		} else {
			*to++ = *p++;
		}
	}
	*to = '\0';
	return copy;
}

/* 1: a mount in *m; 0: not a line of the format; -ENOMEM. */
static int
parse_line(char *line, struct mountinfo *m)
{
	char *field[FIELDS_BEFORE], *word, *type, *source;
	unsigned major, minor;

	for (int i = 0; i < FIELDS_BEFORE; i++)
		if ((field[i] = strsep(&line, " ")) == NULL)
			return 0;
	while ((word = strsep(&line, " ")) != NULL && strcmp(word, "-") != 0)
		;
	type = strsep(&line, " ");
	source = strsep(&line, " ");
	if (source == NULL || sscanf(field[2], "%u:%u", &major, &minor) != 2)
		return 0;
	*m = (struct mountinfo){ .dev = makedev(major, minor) };
	m->target = unescape(field[4]);
	m->type = strdup(type);
	m->source = unescape(source);
	if (m->target != NULL && m->type != NULL && m->source != NULL)
		return 1;
	free(m->target);
	free(m->type);
	free(m->source);
	return -ENOMEM;
}

int
mountinfo_parse(char *text, struct mountinfo **out)
{
	struct mountinfo *list = NULL, *grown;
	int n = 0, room = 0, got;
	char *line;

	while ((line = strsep(&text, "\n")) != NULL) {
		if (n == room) {
			room = room * 2 + 32;
			grown = realloc(list, (size_t)room * sizeof(*list));
			if (grown == NULL)
				goto no_memory;
			list = grown;
		}
		got = parse_line(line, &list[n]);
		if (got < 0)
			goto no_memory;
		n += got;
	}
	*out = list;
	return n;
no_memory:
	mountinfo_free(list, n);
	return -ENOMEM;
}

int
mountinfo_read(struct mountinfo **out)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *text = NULL;
	size_t size = 0;
	int n;

	if (f == NULL)
		return -errno;
	/* The file has no NUL: all of it is one "line". */
	n = getdelim(&text, &size, '\0', f) < 0 ? -EIO : mountinfo_parse(text, out);
	free(text);
	fclose(f);
	return n;
}

void
mountinfo_free(struct mountinfo *list, int n)
{
	for (int i = 0; i < n; i++) {
		free(list[i].target);
		free(list[i].type);
		free(list[i].source);
	}
	free(list);
}

bool
mountinfo_aether_at(const char *path)
{
	struct mountinfo *list;
	int n = mountinfo_read(&list);
	bool found = false;

	if (n < 0)
		return false;
	for (int i = 0; i < n; i++)
		if (strcmp(list[i].target, path) == 0)
			found = strcmp(list[i].type, MOUNTINFO_TYPE) == 0;
	mountinfo_free(list, n);
	return found;
}

bool
mountinfo_aether_dev(dev_t dev)
{
	struct mountinfo *list;
	int n = mountinfo_read(&list);
	bool found = false;

	if (n < 0)
		return false;
	for (int i = 0; i < n && !found; i++)
		found = list[i].dev == dev && strcmp(list[i].type, MOUNTINFO_TYPE) == 0;
	mountinfo_free(list, n);
	return found;
}

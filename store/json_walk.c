#include "json_walk.h"

#include "json.h"

const char *
json_walk_string(const char *p, const char *end)
{
	for (p++;; p += 2) {
		p = json_plain_end((struct span){ p, (size_t)(end - p) });
		if (*p == '"')
			return p + 1;
	}
}

static const char *
walk_brackets(const char *p, const char *end)
{
	size_t depth = 0;

	do {
		switch (*p) {
		case '"':
			p = json_walk_string(p, end);
			continue;
		case '{':
		case '[':
			depth++;
			break;
		case '}':
		case ']':
			depth--;
			break;
		default:
			break;
		}
		p++;
	} while (depth > 0);
	return p;
}

const char *
json_walk_value(const char *p, const char *end)
{
	switch (*p) {
	case '"':
		return json_walk_string(p, end);
	case '{':
	case '[':
		return walk_brackets(p, end);
	default:
		while (*p != ',' && *p != '}' && *p != ']')
			p++;
		return p;
	}
}

struct span
json_walk_key(const char **p, const char *end)
{
	const char *from = *p + 1, *behind = json_walk_string(*p, end);

	*p = behind + 1;
	return (struct span){ from, (size_t)(behind - 1 - from) };
}

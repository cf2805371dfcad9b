#include "urls.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The parts of one URL of a list. */
struct url {
	struct span scheme; /* with "://"; empty if absent */
	struct span host;   /* with its port */
	bool secret;        /* there were credentials between them */
};

static const char *
last_at(const char *p, size_t len)
{
	while (len > 0)
		if (p[--len] == '@')
			return p + len;
	return NULL;
}

static struct url
split(const char *p, size_t len)
{
	struct url u = { .scheme = { p, 0 } };
	const char *mark = memmem(p, len, "://", 3);
	const char *at;

	if (mark != NULL)
		u.scheme.len = (size_t)(mark - p) + 3;
	u.host = (struct span){ p + u.scheme.len, len - u.scheme.len };
	at = last_at(u.host.p, u.host.len);
	if (at != NULL) {
		u.secret = true;
		u.host.len -= (size_t)(at + 1 - u.host.p);
		u.host.p = at + 1;
	}
	return u;
}

static bool
port_ok(const char *p, size_t len)
{
	unsigned long port = 0;

	if (len == 0 || len > 5)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isdigit((unsigned char)p[i]))
			return false;
		port = port * 10 + (unsigned long)(p[i] - '0');
	}
	return port >= 1 && port <= 65535;
}

static const char *
host_wrong(struct span host)
{
	const char *colon;
	size_t name;

	if (host.len > 0 && host.p[0] == '[') {
		const char *close = memchr(host.p, ']', host.len);

		if (close == NULL)
			return "has a '[' without ']'";
		for (const char *p = host.p + 1; p < close; p++)
			if (!isxdigit((unsigned char)*p) && *p != ':' && *p != '.' && *p != '%')
				return "has a character that no address has";
		name = (size_t)(close + 1 - host.p);
		if (name == 2)
			return "has no host";
		if (name < host.len && (host.p[name] != ':' || !port_ok(host.p + name + 1, host.len - name - 1)))
			return "has no valid port (1 to 65535)";
		return NULL;
	}
	colon = memchr(host.p, ':', host.len);
	name = colon != NULL ? (size_t)(colon - host.p) : host.len;
	if (name == 0)
		return "has no host";
	for (size_t i = 0; i < name; i++)
		if (!isalnum((unsigned char)host.p[i]) && strchr("-._", host.p[i]) == NULL)
			return "has a character that no host name has";
	if (colon != NULL && !port_ok(colon + 1, host.len - name - 1))
		return "has no valid port (1 to 65535)";
	return NULL;
}

int
urls_check(const char *urls, struct buf *why)
{
	for (unsigned number = 1;; number++) {
		size_t len = strcspn(urls, ",");
		struct url u = split(urls, len);
		const char *wrong;

		if (u.scheme.len != 0 && !span_eq(u.scheme, SPAN("nats://")) && !span_eq(u.scheme, SPAN("tls://")))
			wrong = "has a scheme other than nats:// and tls://";
		else
			wrong = host_wrong(u.host);
		if (wrong != NULL) {
			buf_printf(why, "URL %u %s", number, wrong);
			return -EINVAL;
		}
		if (urls[len] == '\0')
			return 0;
		urls += len + 1;
	}
}

void
urls_redact(struct buf *out, const char *urls)
{
	for (;;) {
		size_t len = strcspn(urls, ",");
		struct url u = split(urls, len);

		buf_put_span(out, u.scheme);
		buf_put_span(out, u.host);
		if (urls[len] == '\0')
			return;
		buf_putc(out, ',');
		urls += len + 1;
	}
}

void
urls_mask(char *argument)
{
	char *at = strrchr(argument, '@');
	char *mark = strstr(argument, "://");
	char *from = mark != NULL ? mark + 3 : argument;

	if (at != NULL && from < at)
		memset(from, '*', (size_t)(at - from));
}

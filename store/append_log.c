#include "append_log.h"

#include <errno.h>
#include <string.h>

static const char *
reason(int err)
{
	switch (-err) {
	case ETIMEDOUT:
		return "no acknowledgement in time, the outcome is unknown";
	case EINTR:
		return "interrupted before it was sent";
	case ENOENT:
		return "no such namespace";
	case ENOSPC:
		return "JetStream is out of storage or at a limit";
	case EACCES:
		return "NATS refuses";
	case EMSGSIZE:
		return "larger than the server's max_payload allows";
	default:
		return strerror(-err);
	}
}

void
append_log(struct logger *lg, struct actor_name name, int err, size_t line, const char *why)
{
	const char *text = why != NULL ? why : reason(err), *errno_name = strerrorname_np(-err);

	if (line > 0)
		log_warn(lg, "append to %s/%s refused: line %zu: %s (%s)", name.ns, name.actor, line, text, errno_name);
	else
		log_warn(lg, "append to %s/%s failed: %s (%s)", name.ns, name.actor, text, errno_name);
}

void
append_log_others(struct logger *lg, struct actor_name name, size_t others, int err)
{
	log_warn(lg, "append to %s/%s failed: %zu more that waited with it or behind it (%s)", name.ns, name.actor, others,
	    strerrorname_np(-err));
}

void
append_log_conflict(struct logger *lg, struct actor_name name, size_t line, const struct conflict *c)
{
	log_warn(lg, "append to %s/%s refused: line %zu: version conflict: current %llu, attempted %llu (ESTALE)",
	    name.ns, name.actor, line, (unsigned long long)c->current, (unsigned long long)c->attempted);
}

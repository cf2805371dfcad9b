/* The store as what feeds read from. */
#include "feed.h"

static int
source_info(void *source, const char *ns, struct ns_info *info)
{
	return store_ns_info(source, ns, 0, false, info);
}

static int
source_list(void *source, backend_name_fn fn, void *arg)
{
	return store_ns_list(source, fn, arg);
}

static int
source_follow(void *source, const char *ns, uint64_t after_seq, uint64_t epoch, const struct follow_fns *fns, void *arg,
    struct follow **out)
{
	return follow_new(source, ns, after_seq, epoch, 0, true, fns, arg, out);
}

static int
source_listen(void *source, names_fn fn, void *arg, struct names_listener **out)
{
	int err = names_listen(source, fn, arg, out);

	/* Somebody must look for there to be something to tell. */
	if (err == 0 && (err = names_start(source)) != 0)
		names_ignore(source, *out);
	return err;
}

static void
source_ignore(void *source, struct names_listener *l)
{
	names_ignore(source, l);
}

const struct feed_source feed_source_store = { .info = source_info,
	.list = source_list,
	.follow = source_follow,
	.unfollow = follow_free,
	.listen = source_listen,
	.ignore = source_ignore };

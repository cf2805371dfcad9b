/* The store's contract on the memory backend. Nodes share it through wrappers that add nothing. */
#include "../../store/memory.h"
#include "../faults/faulty.h"
#include "contract.h"

static struct backend *shared;
static uint64_t lost_seq;

static int
open_node(struct backend **out)
{
	int err = faulty_new(out, shared, false, clock_system(), NULL);

	if (err == 0)
		faulty_hide(*out, lost_seq);
	return err;
}

static int
lose(const char *ns, uint64_t seq)
{
	(void)ns;
	lost_seq = seq;
	return 0;
}

int
main(int argc, char **argv)
{
	const struct contract c = { open_node, lose, 5 * NS_PER_SEC, false, false, 100 };

	if (memory_new(&shared, clock_system()) != 0)
		return 1;
	int failed = contract_run(&c, NULL, 0, argc, argv);
	shared->ops->free(shared);
	return failed;
}

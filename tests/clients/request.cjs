// Appends without a mount: requests to SUBJECT, the whole standard input as one, or with --each every line of it as one, all under way at
// once. Prints the answers, in order, one a line.
//
//     request.cjs URL SUBJECT [--each]
const { connect, StringCodec } = require("nats");
const { readFileSync } = require("fs");

async function main([url, subject, each]) {
	const text = StringCodec();
	const connection = await connect({ servers: url });
	const input = readFileSync(0, "utf8");
	const payloads = each ? input.split("\n").filter((line) => line !== "") : [input];
	const answers = payloads.map((payload) => connection.request(subject, text.encode(payload), { timeout: 30000 }));
	for (const answer of await Promise.all(answers)) console.log(text.decode(answer.data));
	await connection.close();
}

main(process.argv.slice(2)).catch((error) => { console.error(String(error)); process.exit(1); });

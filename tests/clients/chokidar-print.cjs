// Prints what chokidar says of a directory: "EVENT PATH" a line, and "ready" when it has begun.
const { watch } = require("chokidar");

watch(process.argv[2], { usePolling: false })
	.on("all", (event, path) => console.log(event, path))
	.on("error", (error) => { console.error(error); process.exit(1); })
	.on("ready", () => console.log("ready"));

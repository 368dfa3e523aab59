# For tools/setup.sh, which has the Python in $python: installs services that run on Java.

java_ok() { java -version 2>&1 | grep -qE 'version "(1[7-9]|2[0-9])' && command -v mvn >/dev/null; }

# maven GOAL NAME: what tools/NAME/pom.xml asks for goes into .tools/NAME/app
maven() {
	local said
	mkdir -p ".tools/$2"
	cp "tools/$2/pom.xml" ".tools/$2/" # beside it, Maven leaves marks
	said=$(mvn --quiet --batch-mode -Dstyle.color=never -f ".tools/$2/pom.xml" "dependency:$1" -DincludeScope=runtime -DoutputDirectory="$PWD/.tools/$2/app" 2>&1) || { echo "$said" >&2; return 1; }
}

# java_args NAME CLASSPATH: with `java @.tools/NAME/java.args` a service starts with little memory.
java_args() { printf '%s\n' -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xlog:disable -Xlog:all=error:stderr -cp "\"$2\"" >".tools/$1/java.args"; }

# archive_classes NAME TEXT ARGS: runs a service until it prints the text, and keeps the classes it had loaded: then it starts in half the time.
archive_classes() {
	local dir=$PWD/.tools/$1 text=$2 pid
	shift 2
	: >"$dir/archive.log"
	timeout 120 java "@$dir/java.args" -XX:ArchiveClassesAtExit="$dir/classes.jsa" "$@" >"$dir/archive.log" 2>&1 &
	pid=$!
	while kill -0 $pid 2>/dev/null && ! grep -q "$text" "$dir/archive.log"; do sleep 0.2; done
	kill $pid 2>/dev/null || true
	wait $pid || true
	[ ! -f "$dir/classes.jsa" ] || echo "-XX:SharedArchiveFile=\"$dir/classes.jsa\"" >>"$dir/java.args" # without it, it just takes longer
}

free_port() { "$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# A broker alone, to be started once.
kafka_once() {
	local dir=$PWD/.tools/kafka/once
	mkdir -p "$dir"
	cat >"$dir/server.properties" <<-EOF
		process.roles=broker,controller
		node.id=1
		controller.quorum.voters=1@127.0.0.1:$1
		controller.listener.names=CONTROLLER
		listeners=PLAINTEXT://127.0.0.1:$2,CONTROLLER://127.0.0.1:$1
		advertised.listeners=PLAINTEXT://127.0.0.1:$2
		log.dirs=$dir/data
		log.cleaner.dedupe.buffer.size=2097152
	EOF
	java @.tools/kafka/java.args kafka.tools.StorageTool format -t MkU3OEVBNTcwNTJENDM2Qg -c "$dir/server.properties" >"$dir/log" 2>&1 || { cat "$dir/log" >&2; return 1; }
	archive_classes kafka "Kafka Server started" kafka.Kafka "$dir/server.properties"
	rm -rf "$dir"
}

registry_once() {
	archive_classes registry "Listening on" -Dquarkus.http.host=127.0.0.1 "-Dquarkus.http.port=$1" io.quarkus.runner.GeneratedMain
}

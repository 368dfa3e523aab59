package servicetest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// KafkaBroker is an Apache Kafka of one broker, which allows everybody everything and makes no topic by itself. It lets data that are past a
// topic's retention go within seconds. Its addresses stay over stops and starts.
type KafkaBroker struct {
	Plaintext     string // "127.0.0.1:4711"
	TLS           string
	SASLPlaintext string // PLAIN, SCRAM-SHA-256, SCRAM-SHA-512
	SASLTLS       string
	User          string // for all mechanisms
	Password      string
	CA            string // PEM of the certificate that the broker shows

	program    javaProgram
	controller int
	settings   []string
	process    *process
}

var sharedKafka = sync.OnceValues(func() (*KafkaBroker, error) { return startKafka(nil) })

// Kafka is the broker that the tests of a package share: each makes itself topics and groups of its own, and none stops the broker.
func Kafka(t testing.TB) *KafkaBroker {
	t.Helper()
	k, err := sharedKafka()
	return started(t, k, err)
}

// OwnKafka starts a broker for one test, with more settings: "message.max.bytes=2000000".
func OwnKafka(t testing.TB, settings ...string) *KafkaBroker {
	t.Helper()
	k, err := startKafka(settings)
	started(t, k, err).process.ends(t)
	return k
}

// Stop ends the broker in order.
func (k *KafkaBroker) Stop(t testing.TB) { k.process.stop(syscall.SIGTERM, 20*time.Second) }

// Kill ends the broker at once.
func (k *KafkaBroker) Kill(t testing.TB) { k.process.stop(syscall.SIGKILL, 0) }

// Start starts a stopped broker on its ports and data.
func (k *KafkaBroker) Start(t testing.TB) {
	t.Helper()
	if err := k.start(); err != nil {
		t.Fatal(err)
	}
}

// Log is the end of what the broker logged.
func (k *KafkaBroker) Log() string { return k.process.output() }

func startKafka(settings []string) (*KafkaBroker, error) {
	k := &KafkaBroker{User: "tester", Password: "tester-secret", settings: settings}
	var err error
	if k.program, err = findJava("Kafka", "LAKESTEP_TEST_KAFKA"); err != nil {
		return nil, err
	}
	if err := k.findPorts(); err != nil {
		return nil, err
	}
	if k.process, err = newProcess("kafka", "KILL"); err != nil {
		return nil, err
	}
	if err = k.format(); err == nil {
		err = k.start()
	}
	return k, k.process.closed(err)
}

func (k *KafkaBroker) findPorts() error {
	var ports [4]int
	if err := freePorts(&ports[0], &ports[1], &ports[2], &ports[3], &k.controller); err != nil {
		return err
	}
	k.Plaintext, k.TLS, k.SASLPlaintext, k.SASLTLS = address(ports[0]), address(ports[1]), address(ports[2]), address(ports[3])
	return nil
}

func (k *KafkaBroker) file(name string) string { return filepath.Join(k.process.dir, name) }

// format writes the broker's files: certificate, settings, and the folder of its data with the SCRAM users.
func (k *KafkaBroker) format() error {
	cert, key, err := selfSigned()
	if err != nil {
		return err
	}
	k.CA = cert
	if err := os.WriteFile(k.file("keystore.pem"), []byte(key+cert), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(k.file("server.properties"), []byte(k.properties()), 0o600); err != nil {
		return err
	}
	args := []string{"kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", k.file("server.properties")}
	for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
		args = append(args, "--add-scram", fmt.Sprintf("%s=[name=%s,password=%s]", mechanism, k.User, k.Password))
	}
	if out, err := k.program.command(k.process.dir, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("format Kafka's storage: %w:\n%s", err, out)
	}
	return nil
}

func (k *KafkaBroker) properties() string {
	const module = "org.apache.kafka.common.security."
	listeners := "PLAINTEXT://" + k.Plaintext + ",SSL://" + k.TLS + ",SASL_PLAINTEXT://" + k.SASLPlaintext + ",SASL_SSL://" + k.SASLTLS
	lines := []string{
		"process.roles=broker,controller",
		"node.id=1",
		"controller.quorum.voters=1@" + address(k.controller),
		"controller.listener.names=CONTROLLER",
		"listeners=" + listeners + ",CONTROLLER://" + address(k.controller),
		"advertised.listeners=" + listeners,
		"inter.broker.listener.name=PLAINTEXT",
		"listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL",
		"ssl.keystore.type=PEM",
		"ssl.keystore.location=" + k.file("keystore.pem"),
		"sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
		"log.dirs=" + k.file("data"),
		"auto.create.topics.enable=false",
		"offsets.topic.replication.factor=1",
		"offsets.topic.num.partitions=1",
		"transaction.state.log.replication.factor=1",
		"transaction.state.log.min.isr=1",
		"transaction.state.log.num.partitions=1",
		"share.coordinator.state.topic.replication.factor=1",
		"share.coordinator.state.topic.min.isr=1",
		"group.initial.rebalance.delay.ms=0",
		"broker.session.timeout.ms=3000", // a broker that was killed is let in again after this time
		"broker.heartbeat.interval.ms=500",
		"log.initial.task.delay.ms=500",
		"log.retention.check.interval.ms=1000",
		"log.cleaner.dedupe.buffer.size=2097152",
		"num.io.threads=4",
		"num.network.threads=1",
	}
	for _, listener := range []string{"sasl_plaintext", "sasl_ssl"} {
		prefix := "listener.name." + listener + "."
		lines = append(lines,
			fmt.Sprintf("%splain.sasl.jaas.config=%splain.PlainLoginModule required user_%s=%q;", prefix, module, k.User, k.Password),
			prefix+"scram-sha-256.sasl.jaas.config="+module+"scram.ScramLoginModule required;",
			prefix+"scram-sha-512.sasl.jaas.config="+module+"scram.ScramLoginModule required;",
		)
	}
	return strings.Join(append(lines, k.settings...), "\n") + "\n" // the last one of a name wins
}

func (k *KafkaBroker) start() error {
	const log = "-Dorg.slf4j.simpleLogger."
	return k.process.start(k.program.command(k.process.dir,
		log+"showDateTime=true", log+"dateTimeFormat=HH:mm:ss.SSS", log+"log.org.apache.kafka.common.config=warn", // else all settings are listed
		"kafka.Kafka", k.file("server.properties")), k.process.prints("Kafka Server started"))
}

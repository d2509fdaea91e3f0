import io.confluent.parallelconsumer.ParallelConsumerOptions;
import io.confluent.parallelconsumer.ParallelConsumerOptions.ProcessingOrder;
import io.confluent.parallelconsumer.ParallelStreamProcessor;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Reads a topic to its end with confluent's parallel-consumer and prints how long that took, from the first record in
 * hand to the last one handled. With "wait" a record waits as many microseconds as its value says (four bytes), parked
 * for nanoseconds; with "no-op" nothing is done. Goes on (commits included) until its standard input ends.
 *
 * Usage: ParallelConsumerBench BROKERS TOPIC GROUP RECORDS key|unordered CONCURRENCY wait|no-op
 */
public final class ParallelConsumerBench {
  public static void main(String[] args) throws Exception {
    String topic = args[1];
    int records = Integer.parseInt(args[3]);
    ProcessingOrder order = args[4].equals("key") ? ProcessingOrder.KEY : ProcessingOrder.UNORDERED;
    boolean waits = args[6].equals("wait");

    Properties properties = new Properties();
    properties.put("bootstrap.servers", args[0]);
    properties.put("group.id", args[2]);
    properties.put("client.id", "bench");
    properties.put("enable.auto.commit", "false");
    properties.put("auto.offset.reset", "earliest");
    KafkaConsumer<byte[], byte[]> consumer =
        new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    ParallelStreamProcessor<byte[], byte[]> processor =
        ParallelStreamProcessor.createEosStreamProcessor(
            ParallelConsumerOptions.<byte[], byte[]>builder()
                .consumer(consumer)
                .ordering(order)
                .maxConcurrency(Integer.parseInt(args[5]))
                .commitInterval(Duration.ofSeconds(1))
                // kafka-clients 3.7 and later hide the field that this check looks at
                .ignoreReflectiveAccessExceptionsForAutoCommitDisabledCheck(true)
                .build());
    processor.subscribe(List.of(topic));

    AtomicInteger begun = new AtomicInteger();
    AtomicInteger ended = new AtomicInteger();
    AtomicLong firstNanos = new AtomicLong();
    AtomicLong firstEpochMs = new AtomicLong();
    AtomicLong firstCpuNanos = new AtomicLong();
    processor.poll(
        context -> {
          if (begun.getAndIncrement() == 0) {
            firstCpuNanos.set(cpuNanos());
            firstEpochMs.set(System.currentTimeMillis());
            firstNanos.set(System.nanoTime());
          }
          if (waits) {
            int micros = ByteBuffer.wrap(context.getSingleConsumerRecord().value()).getInt();
            long due = System.nanoTime() + micros * 1_000L;
            for (long left = micros * 1_000L; left > 0; left = due - System.nanoTime()) LockSupport.parkNanos(left);
          }
          if (ended.incrementAndGet() == records) {
            double seconds = (System.nanoTime() - firstNanos.get()) / 1e9;
            double cpuSeconds = (cpuNanos() - firstCpuNanos.get()) / 1e9;
            System.out.printf(
                java.util.Locale.ROOT,
                "{\"records\":%d,\"seconds\":%.6f,\"cpuSeconds\":%.6f,\"rssMb\":%.1f,\"firstEpochMs\":%d}%n",
                records, seconds, cpuSeconds, rssMb(), firstEpochMs.get());
            System.out.flush();
          }
        });

    while (System.in.read() >= 0) {}
    processor.closeDontDrainFirst(Duration.ofSeconds(2));
    System.exit(0);
  }

  private static long cpuNanos() {
    return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean())
        .getProcessCpuTime();
  }

  /** As Linux tells it; 0 elsewhere. */
  private static double rssMb() {
    try {
      for (String line : java.nio.file.Files.readAllLines(java.nio.file.Path.of("/proc/self/status")))
        if (line.startsWith("VmRSS:")) return Long.parseLong(line.replaceAll("\\D", "")) / 1e3;
    } catch (java.io.IOException none) {
      return 0;
    }
    return 0;
  }
}

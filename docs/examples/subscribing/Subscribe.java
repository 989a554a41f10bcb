// Reads `kept` and `messages` in Java: java -cp 'libs/*' Subscribe.java KAFKA TENANT

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

public class Subscribe {
    static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] arguments) throws Exception {
        var settings = Map.<String, Object>of(
            "bootstrap.servers", arguments[0],
            "group.id", arguments[1] + ".claims.java",
            "auto.offset.reset", "earliest",
            "enable.auto.commit", "false",
            "key.deserializer", ByteArrayDeserializer.class,
            "value.deserializer", ByteArrayDeserializer.class);
        var topics = List.of("custody." + arguments[1] + ".kept.v1", "custody." + arguments[1] + ".messages.v1");
        try (var consumer = new KafkaConsumer<byte[], byte[]>(settings)) {
            consumer.subscribe(topics);
            while (true) {
                for (var entry : consumer.poll(Duration.ofSeconds(1))) {
                    read(entry);
                }
                consumer.commitSync(); // only now: what was not read to the end comes again
            }
        }
    }

    static void read(ConsumerRecord<byte[], byte[]> entry) throws Exception {
        var value = JSON.readTree(entry.value());
        if (entry.topic().contains(".kept.")) {
            var place = value.get("position");
            print("kept", value, place.get("topic"), place.get("partition"), place.get("offset"));
        } else {
            print("messages", value.get("envelope"), itemOf(value.get("content")));
        }
    }

    // The names in the provider's own JSON. What they hold are the customer's words: print none of it.
    static Object[] itemOf(JsonNode content) throws Exception {
        if (!content.get("encoding").asText().equals("custody/item+json") || content.has("key_id")) {
            return new Object[0]; // made by Custody itself, or sealed
        }
        var names = new TreeSet<String>();
        JSON.readTree(content.get("data").binaryValue()).path("item").fieldNames().forEachRemaining(names::add);
        return names.toArray();
    }

    static void print(String stream, JsonNode about, Object... rest) {
        var line = new StringBuilder(stream + " " + about.get("record_id").asText() + " " + about.get("type").asText());
        for (var one : rest) {
            line.append(" ").append(one instanceof JsonNode node ? node.asText() : one);
        }
        System.out.println(line);
    }
}

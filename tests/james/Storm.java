import java.util.concurrent.CountDownLatch;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.MDC;

/** Logs failed logins as James' own code does, faster than any attack: THREADS x EACH lines through a logback.xml. */
public class Storm {
    public static void main(String[] args) throws Exception {
        int threads = Integer.parseInt(args[0]);
        int each = Integer.parseInt(args[1]);
        Logger logger = LoggerFactory.getLogger("org.apache.james.protocols.smtp.AUTHENTICATION");
        CountDownLatch begin = new CountDownLatch(1);
        Thread[] all = new Thread[threads];
        for (int i = 0; i < threads; i++) {
            String address = "198.51.100." + (i + 1);
            all[i] = new Thread(() -> {
                MDC.put("protocol", "SMTP");
                MDC.put("ip", address);
                try {
                    begin.await();
                } catch (InterruptedException e) {
                    return;
                }
                for (int n = 0; n < each; n++) {
                    logger.info("AUTH method {} failed from {}@{}", "PLAIN", "Username{localPart=bob, domainPart=Optional[Domain : example.test]}", address);
                }
            });
            all[i].start();
        }
        long from = System.nanoTime();
        begin.countDown();
        for (Thread thread : all) {
            thread.join();
        }
        System.err.println("took " + (System.nanoTime() - from) / 1_000_000 + " ms");
        ((ch.qos.logback.classic.LoggerContext) LoggerFactory.getILoggerFactory()).stop();
    }
}

// SPDX-License-Identifier: Apache-2.0
// Null pointers, in several threads at once: what the machine code of the JVM leaves to the processor, as faults that it handles.
public final class NullChecks {
    private static final class Node {
        int value;
    }

    private static int valueOf(Node node) {
        return node.value; // no compare: a fault when there is none
    }

    private static int check(int rounds) {
        Node node = new Node();
        int caught = 0;
        for (int i = 0; i < rounds; i++) {
            try {
                valueOf(i % 100 == 0 ? null : node);
            } catch (NullPointerException expected) {
                caught++;
            }
        }
        return caught;
    }

    public static void main(String[] arguments) throws InterruptedException {
        Thread[] threads = new Thread[4];
        int[] caught = new int[threads.length];
        for (int i = 0; i < threads.length; i++) {
            int number = i;
            threads[i] = new Thread(() -> caught[number] = check(400_000));
            threads[i].start();
        }
        int sum = 0;
        for (int i = 0; i < threads.length; i++) {
            threads[i].join();
            sum += caught[i];
        }
        System.out.println(sum + " null pointers");
    }
}

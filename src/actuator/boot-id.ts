import { readFileSync } from 'node:fs';

/** A text that is new after every boot. What a journal says of an earlier boot, the kernel has forgotten. */
export function readBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

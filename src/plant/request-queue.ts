/** First in, first out; requests as numbers in rings that grow by doubling and are never given back. */
export class RequestQueue {
  private arrivalsNs = new Float64Array(64);
  private demandsNs = new Float64Array(64);
  private connections = new Int32Array(64);
  private head = 0;
  private count = 0;

  get size(): number {
    return this.count;
  }

  /** Of the oldest request; Infinity when none waits. */
  get headArrivalNs(): number {
    return this.count === 0 ? Infinity : this.arrivalsNs[this.head]!;
  }

  /** @param position from the oldest, which is 0, to size − 1 */
  arrivalNsAt(position: number): number {
    return this.arrivalsNs[(this.head + position) & (this.arrivalsNs.length - 1)]!;
  }

  get headDemandNs(): number {
    return this.demandsNs[this.head]!;
  }

  get headConnection(): number {
    return this.connections[this.head]!;
  }

  push(arrivalNs: number, demandNs: number, connection: number): void {
    if (this.count === this.arrivalsNs.length) this.grow();
    const tail = (this.head + this.count) & (this.arrivalsNs.length - 1);
    this.arrivalsNs[tail] = arrivalNs;
    this.demandsNs[tail] = demandNs;
    this.connections[tail] = connection;
    this.count++;
  }

  /** Drops the oldest request: read its head fields before. */
  shift(): void {
    this.head = (this.head + 1) & (this.arrivalsNs.length - 1);
    this.count--;
  }

  private grow(): void {
    const order = Array.from({ length: this.count }, (_, i) => (this.head + i) & (this.arrivalsNs.length - 1));
    const length = 2 * this.count;
    this.arrivalsNs = rearranged(new Float64Array(length), this.arrivalsNs, order);
    this.demandsNs = rearranged(new Float64Array(length), this.demandsNs, order);
    this.connections = rearranged(new Int32Array(length), this.connections, order);
    this.head = 0;
  }
}

function rearranged<T extends Float64Array | Int32Array>(target: T, source: T, order: readonly number[]): T {
  order.forEach((from, to) => (target[to] = source[from]!));
  return target;
}

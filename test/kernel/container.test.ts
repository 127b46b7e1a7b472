/** Targets in real containers: namespaces and control groups as a container runtime makes them. */
import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { openSensor } from '../../src/sensor/open-sensor.ts';
import { WebContainer } from './support/container.ts';
import { sensorFixture } from './support/sensor-fixture.ts';
import { Tally, untilWaiting } from './support/tally.ts';

const PORT = 8080;
/** Of an id: what people type. */
const SHORT = 12;

const fixture = sensorFixture();

function containerOf(): WebContainer {
  const container = new WebContainer(randomBytes(32).toString('hex'), PORT);
  fixture.cleanups.push(() => container.remove());
  return container;
}

it('two containers that serve the same port are two targets, and a restart is followed', async () => {
  const [one, other] = [containerOf(), containerOf()];
  await one.start();
  const targets = [one, other].map(({ id }, index) => ({ name: `${index}`, container: id.slice(0, SHORT) }));
  const sensor = openSensor({ targets, objectDirectory: fixture.bpf.directory });
  fixture.cleanups.push(() => sensor.close());
  const another = openSensor({ targets, objectDirectory: fixture.bpf.directory });
  fixture.cleanups.push(() => another.close());
  const [tally, otherTally] = [new Tally(sensor, 0), new Tally(another, 1)];
  const otherPlace = `container ${other.id.slice(0, SHORT)}`;
  expect(sensor.waiting()).toEqual([otherPlace]);
  one.ask(13);

  await other.start();
  await untilWaiting(sensor, 0, tally);
  await untilWaiting(another, 0, otherTally);
  other.ask(17);
  one.ask(5);
  const expected = { arrivals: 18, requests: 18, abandoned: 0, dropped: 0, inFlight: 0 };
  expect(await tally.settle(expected)).toEqual(expected);
  expect(await otherTally.settle({ requests: 17, inFlight: 0 })).toEqual({ requests: 17, inFlight: 0 });

  one.stop();
  await untilWaiting(sensor, 1, tally);
  expect(sensor.waiting()).toEqual([`container ${one.id.slice(0, SHORT)}`]);
  await one.start();
  await untilWaiting(sensor, 0, tally);
  one.ask(11);
  expect(await tally.settle({ requests: 29, inFlight: 0 })).toEqual({ requests: 29, inFlight: 0 });
});

import { z } from 'zod';
import { PROTOCOLS } from '../core/sensor.ts';
import { durationMs, durationNs, frequencyKhz, quantile } from '../core/quantity-schema.ts';
import { PROCESS_PLACES } from '../core/target-place.ts';
import { listenAddress } from './listen-address.ts';

const port = () => z.int().min(1).max(65_535);
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;
const NAME_EXPECTED = 'a name of up to 63 letters, digits, dots, dashes and underscores';

const text = (expected: string) =>
  z.string({ error: ({ input }) => `${input === undefined ? 'missing' : 'no text'}, expected ${expected}` });

const withoutProcesses = { properties: Object.fromEntries([...PROCESS_PLACES, 'unix'].map((key) => [key, false])) };

const serviceSchema = z.strictObject({
  name: text(NAME_EXPECTED)
    .regex(NAME, { error: ({ input }) => `${JSON.stringify(input)} given, expected ${NAME_EXPECTED}` })
    .describe('What the service is called in logs, metrics and commands'),
  target: z
    .strictObject({
      port: port().optional().describe('The port that the server listens on: of TCP, or of UDP with protocol udp'),
      ports: z.array(port()).min(1).optional().describe('The ports, where there are several'),
      netns: text('a network namespace')
        .min(1)
        .optional()
        .describe('The network namespace of the ports: a name below /run/netns, or a path; absent: our own'),
      pid: z.int().min(1).optional().describe('A process, with its descendants'),
      unit: text('a systemd unit').min(1).optional().describe('A systemd unit, such as nginx.service'),
      cgroup: text('a cgroup’s path').regex(/^\//).optional().describe('A cgroup, with all below it'),
      container: text('a container’s id')
        .min(1)
        .optional()
        .describe('A container: its id, or twelve or more digits of it'),
      unix: text('an absolute path').regex(/^\//).optional().describe('The path of a Unix-domain stream socket'),
      protocol: z
        .enum(PROTOCOLS)
        .default('auto')
        .describe(
          'What a request is: a stream of HTTP/2, which gRPC is, or a turn of a connection; auto: as each connection begins; udp: a datagram to the port, which the next one to its sender answers',
        ),
    })
    .meta({
      oneOf: [
        ...PROCESS_PLACES.map((key) => ({ required: [key] })),
        { required: ['unix'] },
        { required: ['port'], ...withoutProcesses },
        { required: ['ports'], ...withoutProcesses },
      ],
    })
    .describe('The server that is governed'),
  slo: z
    .strictObject({
      quantile: quantile().prefault('p99').describe('The share of requests that must be fast enough'),
      latency: durationNs({ min: '1us', max: '10min' }).describe('How fast they must be'),
      window: durationMs({ min: '1s', max: '1d' })
        .prefault('1min')
        .describe('The time over which compliance is counted'),
    })
    .describe('The latency objective'),
  cores: z
    .strictObject({
      min: z.int().min(1).max(65_536).default(1).describe('Never fewer CPUs than this'),
      reserved: z
        .array(z.int().min(0).max(65_535))
        .default([])
        .describe('CPUs that the service is never given, by their numbers'),
    })
    .prefault({})
    .describe('The CPUs that the service may be given, where the planner’s strategy is cores or pack'),
  policy: text('a policy’s file name').min(1).describe('The policy file, relative to this file'),
});

/** `tailgov.yaml`: what is governed on this machine. */
export const configSchema = z.strictObject({
  mode: z
    .enum(['govern', 'dry-run'])
    .default('govern')
    .describe('Whether what is decided is also written; dry-run: nothing is, and latencies are predicted'),
  services: z.array(serviceSchema).min(1).describe('What is governed'),
  actuators: z
    .strictObject({
      frequency: z
        .strictObject({
          method: z
            .enum(['auto', 'cap', 'pin', 'setspeed', 'epp'])
            .default('auto')
            .describe(
              'How frequencies are set: governor performance under a maximum (cap), minimum = maximum (pin), governor userspace (setspeed), or the energy preference of a driver in active mode (epp), which is a hint and no speed; auto: the first that the driver offers',
            ),
          min: frequencyKhz().optional().describe('No lower frequency is asked for'),
          max: frequencyKhz().optional().describe('No higher frequency is asked for'),
          boost: z
            .enum(['leave', 'on', 'off'])
            .default('leave')
            .describe('Boost or turbo while governing; leave: as the operator has it'),
          foreignWriter: z
            .union(
              [
                z.literal('yield').describe('They are let have the control'),
                z
                  .strictObject({
                    overridesPerMinute: z
                      .int()
                      .min(1)
                      .max(60)
                      .describe('For each frequency policy; beyond it we yield'),
                  })
                  .describe('It is written again'),
              ],
              {
                error: ({ input }) =>
                  `${JSON.stringify(input)} given, expected yield or { overridesPerMinute: 1 to 60 }`,
              },
            )
            .default({ overridesPerMinute: 3 })
            .describe('What happens when another program writes a control that is governed'),
        })
        .prefault({})
        .describe('CPU frequency'),
      affinity: z
        .strictObject({
          method: z
            .enum(['auto', 'unit', 'cgroup2', 'cgroup1', 'threads'])
            .default('auto')
            .describe(
              'How a service’s CPUs are set: AllowedCPUs of its unit by systemd (unit), the cpuset of its control group (cgroup2, cgroup1), or the mask of each thread (threads); auto: the first of them that is the service’s alone',
            ),
          force: z
            .boolean()
            .default(false)
            .describe('Also where a kubelet manages the control group, which will write it again'),
        })
        .prefault({})
        .describe('The CPUs that services run on'),
    })
    .prefault({})
    .describe('What may be changed, within which limits'),
  planner: z
    .strictObject({
      strategy: z
        .enum(['frequency', 'cores', 'pack'])
        .default('frequency')
        .describe(
          'What a level becomes: all CPUs slower (frequency), fewer CPUs at full speed (cores), or fewer and slower, whatever the power model says draws least at the present load (pack; without a model the fewest CPUs first)',
        ),
    })
    .prefault({})
    .describe('How levels become operating points'),
  telemetry: z
    .strictObject({
      metrics: listenAddress()
        .prefault('127.0.0.1:9750')
        .describe('Where Prometheus fetches metrics; off: nowhere. Whoever reaches the port can read them'),
      dashboard: z
        .enum(['auto', 'on', 'off'])
        .default('auto')
        .describe('The live page at /dashboard of the same address; auto: where that is a loopback address'),
      powerModel: z
        .enum(['auto', 'off', 'i7-1165g7'])
        .default('auto')
        .describe('The model that modelled power and energy come from; auto: by the name of this machine’s CPU'),
    })
    .prefault({})
    .describe('What is told of the governing, and to whom'),
  onExit: z
    .enum(['original', 'max', 'leave'])
    .default('original')
    .describe('What becomes of the controls at exit: put back, full speed, or left as they are'),
  runtimeDirectory: text('an absolute directory')
    .regex(/^\//, { error: ({ input }) => `${JSON.stringify(input)} given, expected an absolute directory` })
    .optional()
    .describe('Where the journal and the control socket live; absent: $RUNTIME_DIRECTORY or /run/tailgov'),
});

export type ParsedConfig = z.output<typeof configSchema>;

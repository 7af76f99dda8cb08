import { openApi } from '../../client/api.ts'
import { stateDirectory } from '../../client/connection.ts'
import type { ControllerView } from '../../client/views.ts'
import { command, exitCodes } from '../../declare.ts'
import { printThing, renderFields } from '../../render/output.ts'
import { absoluteTime, relativeTime } from '../../render/time.ts'

export const info = command({
  name: 'info',
  aliases: ['show'],
  summary: 'show which controller answers, where its state is and how this client reaches it',
  examples: [['cidery state info', 'address, trust, credential, store and schema']],
  prints: 'view',
  async run(cli) {
    const api = await openApi(cli)
    const controller = await api.get<ControllerView>('/controller')
    const { sources } = api.connection
    const client = {
      version: cli.version,
      url: api.url().href,
      urlFrom: sources.url,
      tokenFrom: sources.token,
      trust: sources.trust,
      stateDirectory: stateDirectory(cli),
    }
    const text = () =>
      renderFields(
        [
          ['controller', `${controller.url} (${controller.instance})`],
          ['version', `${controller.version}, this client ${cli.version}`],
          ['leads', controller.leads ? `yes, epoch ${controller.epoch}` : 'no'],
          ['started', `${absoluteTime(controller.startedAt)} (${relativeTime(controller.startedAt, cli.clock.now())})`],
          ['store', `${controller.store}, schema ${controller.schema}`],
          ['last pass', controller.loop.lastPassAt === null ? 'none yet' : relativeTime(controller.loop.lastPassAt, cli.clock.now())],
          ['problem', { text: controller.loop.problem ?? '', tone: 'bad' }],
          ['CA SHA-256', controller.caFingerprint ?? ''],
          ['address from', client.urlFrom],
          ['token from', client.tokenFrom],
          ['trust', client.trust],
          ['state', client.stateDirectory],
        ],
        cli.settings.color,
      )
    await printThing(cli, { value: { controller, client }, name: controller.url, text })
    return exitCodes.ok
  },
})

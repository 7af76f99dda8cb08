import { macosImage } from './macos.js'

export default macosImage('14', { called: 'sonoma' })
